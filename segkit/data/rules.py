"""Every code a finding can have: how severe it is, what it is about, and what `--allow CODE` does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from segkit.data.findings import Finding, Severity
from segkit.errors import UsageError, nearest

_LEFT_OUT = "the images are left out"
_ACCEPTED = "the images are used as they are"
_CUT = "the objects are cut at the border"
_MASKS_LEFT_OUT = "the masks are left out"
_FIRST = "the part named first is taken"
_NEVER: None = None


@dataclass(frozen=True)
class Rule:
    """What a code means.

    Attributes:
        severity: of its findings, unless allowed.
        about: one line on the problem.
        allowed: what happens to the images when the error is allowed; None: it cannot be allowed.
        cure: of an error that cannot be allowed, what to do instead.
    """

    severity: Severity
    about: str
    allowed: str | None = _NEVER
    cure: str = ""

    @property
    def leaves_out(self) -> bool:
        """Whether no image with this problem is ever trained on, allowed or not."""
        return self.allowed == _LEFT_OUT


RULES: dict[str, Rule] = {
    "unreadable-image": Rule(
        Severity.ERROR, "an image file is missing, damaged, cut short or of no known kind", _LEFT_OUT
    ),
    "unreadable-mask": Rule(
        Severity.ERROR, "a mask file is missing, damaged, cut short or holds no classes", _LEFT_OUT
    ),
    "unreadable-annotation": Rule(
        Severity.ERROR, "a file of marked objects is missing, damaged or of the wrong shape", _LEFT_OUT
    ),
    "missing-image": Rule(Severity.ERROR, "an annotation names an image that is not there", _LEFT_OUT),
    "missing-mask": Rule(Severity.ERROR, "an image has no mask", _LEFT_OUT),
    "missing-label": Rule(Severity.ERROR, "an image has no label", _LEFT_OUT),
    "orphan-mask": Rule(Severity.ERROR, "a mask has no image", _MASKS_LEFT_OUT),
    "unlabelled-split": Rule(Severity.WARNING, "a folder of images has no folder of masks"),
    "duplicate-id": Rule(Severity.ERROR, "two files differ by their suffix alone", _LEFT_OUT),
    "unknown-split-id": Rule(Severity.ERROR, "a split file names ids that no image has", _ACCEPTED),
    "repeated-split-id": Rule(Severity.ERROR, "a split file names an id more than once", _FIRST),
    "size-mismatch": Rule(Severity.ERROR, "an image and its mask have different sizes", _LEFT_OUT),
    "geometry-mismatch": Rule(
        Severity.ERROR, "a volume and its mask lie on different voxels, by the affine or spacing they state", _ACCEPTED
    ),
    "orientation-mismatch": Rule(Severity.ERROR, "an image and its mask state different EXIF orientations", _ACCEPTED),
    "not-finite": Rule(Severity.ERROR, "an image holds NaN or infinite values", _LEFT_OUT),
    "hidden-by-alpha": Rule(
        Severity.WARNING, "transparent pixels of an image hold colours, which viewers hide and networks see"
    ),
    "absurd-size": Rule(
        Severity.WARNING, "an image is below 16 pixels, or 8 times as long or short as the others usually are"
    ),
    "names-differ-by-case": Rule(Severity.WARNING, "names of two images differ by upper and lower case alone"),
    "repeated-annotation-id": Rule(Severity.WARNING, "annotations of a COCO file have the same id"),
    "annotation-outside": Rule(Severity.ERROR, "a box or an outline reaches more than a pixel beyond its image", _CUT),
    "object-without-outline": Rule(
        Severity.WARNING, "an object has a box alone in a set of outlines, and its box is not counted"
    ),
    "zero-area-box": Rule(Severity.WARNING, "a box has no width or no height"),
    "absurd-box": Rule(Severity.WARNING, "a box is more than 100 times as long as wide"),
    "channels-differ": Rule(
        Severity.ERROR,
        "images have different numbers of channels, and a network takes one",
        cure="give '--channels rgb' or '--channels gray' where they have 1 and 3, else save all with one number",
    ),
    "too-many-channels": Rule(
        Severity.ERROR, "images have more than 16 channels", cure="save them with 16 channels at most"
    ),
    "dtype-differs": Rule(
        Severity.WARNING, "images are stored in different types, so equal values may mean different brightness"
    ),
    "spacing-differs": Rule(
        Severity.WARNING, "images state different distances between pixels, so objects of one size look different"
    ),
    "constant-image": Rule(Severity.WARNING, "all pixels of an image are equal"),
    "animated-image": Rule(Severity.WARNING, "an image file holds several frames, of which the first is read"),
    "lossy-mask": Rule(Severity.ERROR, "a mask is stored in a format that alters its values (JPEG)", _ACCEPTED),
    "class-overlap": Rule(Severity.WARNING, "mask files of two classes claim the same pixels"),
    "instance-ids": Rule(
        Severity.ERROR,
        "masks number objects instead of naming classes",
        cure="give '--map other=1' to learn object against background, or '--task instances' to learn them one by one",
    ),
    "objects-not-told-apart": Rule(
        Severity.ERROR, "masks that are to number objects hold one value besides 0", _ACCEPTED
    ),
    "unknown-id": Rule(Severity.ERROR, "a mask holds a value that is no class", _LEFT_OUT),
    "gap-in-ids": Rule(Severity.ERROR, "ids in masks skip some, as 0, 1, 4 do, and no classes are declared", _LEFT_OUT),
    "unknown-label": Rule(Severity.ERROR, "an image's label is no class", _LEFT_OUT),
    "one-class-only": Rule(
        Severity.ERROR,
        "the whole set shows one class only, so nothing can be learnt",
        cure="add images that show another class, or look whether the masks were exported with their classes",
    ),
    "class-without-training-pixels": Rule(Severity.ERROR, "no training image shows a class", _ACCEPTED),
    "unused-class": Rule(Severity.NOTE, "no image shows a class that an annotation tool exported"),
    "class-without-validation-pixels": Rule(Severity.WARNING, "no validation image shows a class that training knows"),
    "class-only-in-test": Rule(Severity.WARNING, "only test images show a class"),
    "empty-set": Rule(
        Severity.ERROR, "no usable image is left", cure="correct what the other findings name, or name another folder"
    ),
    "empty-part": Rule(
        Severity.ERROR,
        "no image is in train, or none in val",
        cure="cut the set anew with '--split 70/15/15', or name images for both in a split file",
    ),
    "too-few-images": Rule(
        Severity.ERROR,
        "fewer images, or groups, than parts to cut",
        cure="add images, or name the parts in a file with '--split FILE'",
    ),
    "unassigned-image": Rule(Severity.WARNING, "an image is in no part of the split"),
    "duplicate-across-splits": Rule(Severity.ERROR, "images of equal pixels are in different parts", _ACCEPTED),
    "near-duplicate-across-splits": Rule(
        Severity.WARNING, "images that look alike (copies saved anew, frames of one film) are in different parts"
    ),
    "duplicate-image": Rule(Severity.WARNING, "images of equal pixels are in one part"),
    "group-across-splits": Rule(Severity.ERROR, "images of one group are in different parts", _ACCEPTED),
}


def finding(code: str, message: str, files: Iterable[str] = (), records: Iterable[str] = ()) -> Finding:
    """A finding with the severity its code has; the arguments are its attributes."""
    return Finding(code, RULES[code].severity, message, tuple(files), tuple(records))


def apply_allowed(findings: Sequence[Finding], allowed: Sequence[str]) -> tuple[Finding, ...]:
    """The findings, errors whose code is allowed lowered to warnings, errors first.

    Raises:
        UsageError: a code that does not exist, or one that cannot be allowed.
    """
    for code in allowed:
        if code not in RULES:
            hint = nearest(code, RULES) or f" Allowed: {', '.join(allowable())}."
            raise UsageError(f"--allow {code}: there is no such check.{hint}")
        if RULES[code].severity is not Severity.ERROR:
            raise UsageError(f"--allow {code}: training goes on after it anyway, so there is nothing to allow.")
        if code not in allowable():
            rule = RULES[code]
            raise UsageError(f"--allow {code}: this cannot be allowed, because {rule.about}; {rule.cure}.")
    lowered = (
        replace(found, severity=Severity.WARNING, message=f"{found.message} (allowed: {RULES[found.code].allowed})")
        if found.severity is Severity.ERROR and found.code in allowed
        else found
        for found in findings
    )
    return tuple(sorted(lowered, key=lambda found: list(Severity).index(found.severity)))


def allowable() -> list[str]:
    """The codes `--allow` takes."""
    return [code for code, rule in RULES.items() if rule.severity is Severity.ERROR and rule.allowed is not None]
