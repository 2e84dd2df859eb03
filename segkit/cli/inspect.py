"""`segkit inspect`: what a model makes of one image, in pictures."""

from __future__ import annotations

from segkit.cli import options


def inspect(
    model: options.Model,
    image: options.Image,
    output: options.Output,
    head: options.Head = None,
    device: options.Device = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Draw first-layer filters, activations, Grad-CAM and occlusion maps of every head; index.html shows them all."""
    from segkit.data.image_io import read_image
    from segkit.data.readers._base import file_on_disk
    from segkit.experiment.console import Teller
    from segkit.explanation.inspection import inspect as run_inspection
    from segkit.inference.loading import load
    from segkit.report.inspection import claim_folder, write_inspection

    teller = Teller(quiet)
    predictor = load(model, device=device, precision="fp32")
    teller.tell(*predictor.notes)
    read_image(image)  # one that cannot be read leaves no folder behind
    claim_folder(output)  # before the work, which takes minutes
    with teller.progress("covering parts of the image") as advance:
        inspection = run_inspection(predictor, image, advance, head)
    name = image.relative_to(file_on_disk(image).parent).as_posix()  # of an image in a file of many, both
    page = write_inspection(inspection, model, name, output)
    said = "; ".join(inspection.answers.values())
    teller.tell(f"{name}: {said}", f"written: {page}")
