"""A decoder of compressed DICOM pixels for pydicom, over the same codecs that decode other images.

It reads what pydicom's other plugins do not, JPEG of 12 bits, and it is the sturdier on damaged data.
"""

from __future__ import annotations

from typing import Any

import imagecodecs
from numpy.typing import NDArray
from pydicom import uid
from pydicom.pixels import get_decoder

PLUGIN = "segkit"
"""Name under which pydicom knows the decoder."""

_CODECS = {
    uid.JPEGBaseline8Bit: "jpeg",
    uid.JPEGExtended12Bit: "jpeg",
    uid.JPEGLossless: "jpeg",
    uid.JPEGLosslessSV1: "jpeg",
    uid.JPEGLSLossless: "jpegls",
    uid.JPEGLSNearLossless: "jpegls",
    uid.JPEG2000Lossless: "jpeg2000",
    uid.JPEG2000: "jpeg2000",
    uid.HTJ2KLossless: "jpeg2000",
    uid.HTJ2KLosslessRPCL: "jpeg2000",
    uid.HTJ2K: "jpeg2000",
}

DECODER_DEPENDENCIES = dict.fromkeys(_CODECS, ("imagecodecs",))
"""What pydicom asks of a plugin: the packages each transfer syntax needs."""


def is_available(syntax: str) -> bool:
    """What pydicom asks of a plugin: whether it decodes a transfer syntax here."""
    return syntax in _CODECS


def decode_frame(encoded: bytes, runner: Any) -> bytes:
    """One frame, as pydicom's `DecodeRunner` expects it: interleaved, and told of the type and colours it has.

    Raises `ValueError` where the frame is not of the size that the file states.
    """
    codec = _CODECS[runner.transfer_syntax]
    samples = runner.samples_per_pixel
    if codec == "jpeg":
        frame = _decode_jpeg(encoded, samples, is_rgb=runner.photometric_interpretation == "RGB")
    elif codec == "jpegls":
        frame = imagecodecs.jpegls_decode(encoded)
    else:
        frame = imagecodecs.jpeg2k_decode(encoded)
    expected = (runner.rows, runner.columns) if samples == 1 else (runner.rows, runner.columns, samples)
    if frame.shape != expected:
        raise ValueError(f"a frame of shape {frame.shape} where {expected} is stated")
    runner.set_option("bits_allocated", 8 * frame.dtype.itemsize)
    if samples > 1:
        runner.set_option("planar_configuration", 0)
    if samples > 1 and codec != "jpegls":
        runner.set_option("photometric_interpretation", "RGB")
    return frame.tobytes()


def _decode_jpeg(encoded: bytes, samples: int, is_rgb: bool) -> NDArray[Any]:
    """Colours are converted to RGB unless they are stored so, whatever the decoder would guess."""
    if samples == 1:
        return imagecodecs.jpeg8_decode(encoded)
    return imagecodecs.jpeg8_decode(encoded, colorspace="RGB" if is_rgb else "YCBCR", outcolorspace="RGB")


def register() -> None:
    """Make the decoder known to pydicom, once."""
    for syntax in _CODECS:
        decoder = get_decoder(syntax)
        if PLUGIN not in decoder.available_plugins:
            decoder.add_plugin(PLUGIN, (__name__, decode_frame.__name__))


register()
