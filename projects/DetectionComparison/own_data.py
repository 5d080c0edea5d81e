"""The mini scale on sets of the user's: photographs in class folders, and a COCO-format set.

Engine-neutral. The configs of the mini scale suit the built-in digits of 32 and 128 px; what
photographs need set differently is said here, once, and stands in every command of the study.
"""

from dataclasses import dataclass
from pathlib import Path

from projects.DetectionComparison.mini import MiniData
from resnext_det.errors import UserError

PRETRAIN_ITERATIONS = 800  # photographs take longer than digits, which have 600
_OPTIONS = ("--classification", "--train-data", "--test-data")


@dataclass(frozen=True)
class Sizes:
    """How pictures are seen; the defaults suit 64-px photographs and scenes of 640x480.

    Attributes:
        crop: side of a classifier's pictures, pixels.
        shortest: side that a detector's pictures are scaled to, pixels.
        longest: limit of their other side.
        anchors: of p2 … p6, pixels of the scaled picture.
    """

    crop: int = 48
    shortest: int = 192
    longest: int = 256
    anchors: tuple[int, ...] = (16, 40, 80, 120, 192)

    def check(self) -> None:
        """Checks that they can be.

        Raises:
            UserError: a size below 1, longest below shortest, or not five anchors.
        """
        if min(self.crop, self.shortest, *self.anchors) < 1:
            raise UserError("--crop, --image-size and --anchors: sizes are at least 1 pixel")
        if self.longest < self.shortest:
            raise UserError(
                f"--image-size {self.shortest} {self.longest}: the second bounds the longest side "
                "and is below the first"
            )
        if len(self.anchors) != 5:
            raise UserError(
                f"--anchors: {len(self.anchors)} sizes; there are five levels, p2 to p6"
            )


def own_data(
    classification: str | None, train: str | None, test: str | None, sizes: Sizes
) -> MiniData | None:
    """Returns the user's sets; None where none is named.

    Args:
        classification: TRAIN_FOLDER:VAL_FOLDER.
        train: JSON:IMAGES.
        test: JSON:IMAGES.
        sizes: how their pictures are seen.

    Raises:
        UserError: some are named and others not, or one is not of its form.
    """
    given = (classification, train, test)
    if not any(given):
        return None
    if missing := [name for name, value in zip(_OPTIONS, given, strict=True) if not value]:
        raise UserError(
            f"{' and '.join(missing)}: not given; own data need all of {', '.join(_OPTIONS)}, and "
            "the built-in digits none"
        )
    sizes.check()
    folders = _two(_OPTIONS[0], classification, "TRAIN_FOLDER:VAL_FOLDER")
    sets = [
        _two(name, value, "JSON:IMAGES")
        for name, value in zip(_OPTIONS[1:], given[1:], strict=True)
    ]
    return MiniData(
        classification=folders,
        detection=(":".join(sets[0]), ":".join(sets[1])),
        description=(
            f"{Path(sets[1][0]).name}, scaled to {sizes.shortest} px; pretrained on "
            f"{_name(folders[0])}, {sizes.crop} px"
        ),
        pretraining=_name(folders[0]),
        classification_overrides=_classification(sizes),
        detection_overrides=_detection(sizes),
    )


def _two(option: str, text: str | None, form: str) -> tuple[str, str]:
    """Takes A:B apart."""
    first, colon, second = (text or "").partition(":")
    if not (first and colon and second) or "=" in first:
        raise UserError(f"{option} {text}: write {form}")
    return first, second


def _name(folder: str) -> str:
    """What tables call a set of class folders: in20 of datasets/in20/train."""
    path = Path(folder)
    is_split = path.name in ("train", "val") and path.parent.name
    return path.parent.name if is_split else path.name or folder


def _classification(sizes: Sizes) -> tuple[str, ...]:
    return (
        *("INPUT.CLASSIFICATION.TRAIN_CROP", str(sizes.crop)),
        *("INPUT.CLASSIFICATION.RESIZE_TEST", str(sizes.crop)),
        *("INPUT.CLASSIFICATION.TEST_CROP", str(sizes.crop)),
        *("INPUT.CLASSIFICATION.TRAIN_SCALE", "[0.35, 1.0]"),  # as in projects/BloodCells
        *("INPUT.CLASSIFICATION.HFLIP", "0.5"),
    )


def _detection(sizes: Sizes) -> tuple[str, ...]:
    return (
        *("INPUT.MIN_SIZE_TRAIN", f"[{sizes.shortest}]"),
        *("INPUT.MAX_SIZE_TRAIN", str(sizes.longest)),
        *("INPUT.MIN_SIZE_TEST", str(sizes.shortest)),
        *("INPUT.MAX_SIZE_TEST", str(sizes.longest)),
        *("INPUT.RANDOM_FLIP", "horizontal"),
        *("MODEL.ANCHOR_GENERATOR.SIZES", str([[size] for size in sizes.anchors])),
        # Cells, people and cars stand closer than the digits do.
        *("MODEL.RPN.POST_NMS_TOPK_TRAIN", "300"),
        *("MODEL.RPN.POST_NMS_TOPK_TEST", "200"),
        # Pictures have three times the pixels of the digits' scenes: half as many an iteration,
        # and half of the rate.
        *("SOLVER.IMS_PER_BATCH", "4"),
        *("SOLVER.REFERENCE_BATCH", "4"),
        *("SOLVER.BASE_LR", "0.005"),
    )
