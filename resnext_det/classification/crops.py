"""The crops of a test image that are scored beside the main one. Engine-neutral."""

from collections import Counter
from dataclasses import dataclass

from fvcore.common.config import CfgNode


@dataclass(frozen=True)
class TestCrops:
    """What is taken of each test image.

    Attributes:
        name: what its metrics begin with; empty for the main crop.
        resize: px of the short side that the image is resized to.
        crop: px of the side of what is cut out.
        ten_crop: whether these are four corners, centre and their mirror images.
    """

    __test__ = False  # not a test case, whatever pytest makes of the name

    name: str
    resize: int
    crop: int
    ten_crop: bool = False


def main_crop(cfg: CfgNode) -> TestCrops:
    """Returns the one that every evaluation scores."""
    given = cfg.INPUT.CLASSIFICATION
    return TestCrops("", given.RESIZE_TEST, given.TEST_CROP)


def more_crops(cfg: CfgNode) -> list[TestCrops]:
    """Returns those of TEST.MORE_CROPS and TEST.TEN_CROP, scored when training has ended.

    A crop is named by its side, 320, and by both numbers, 320_352, where two have that side.
    """
    pairs = [(resize, crop) for resize, crop in cfg.TEST.MORE_CROPS]
    sides = Counter(crop for _, crop in pairs)
    found = [
        TestCrops(f"{crop}_{resize}" if sides[crop] > 1 else str(crop), resize, crop)
        for resize, crop in pairs
    ]
    if cfg.TEST.TEN_CROP:
        main = main_crop(cfg)
        found.append(TestCrops("ten_crop", main.resize, main.crop, ten_crop=True))
    return found
