"""Named ResNet and ResNeXt variants: a table of numbers, no torch. Engine-neutral."""

import difflib
from dataclasses import dataclass

from resnext_det.errors import UserError


@dataclass(frozen=True)
class Variant:
    """One named network.

    Attributes:
        name: `resnet{depth}` or `resnext{depth}_{num_groups}x{width_per_group}d`.
        depth: number of layers, a key of `layout.BLOCKS_PER_STAGE`.
        num_groups: cardinality C of the 3x3 convolutions.
        width_per_group: channels d of one group in res2; it doubles at every later stage.
        stem: "imagenet" or "cifar".
    """

    name: str
    depth: int
    num_groups: int = 1
    width_per_group: int = 64
    stem: str = "imagenet"

    @property
    def image_size(self) -> int:
        """Side in pixels of the images it was designed for: complexity is stated there."""
        return 32 if self.stem == "cifar" else 224

    @property
    def num_classes(self) -> int:
        """Classes of the data set that the paper states its complexity for."""
        return 10 if self.stem == "cifar" else 1000


# Paper, Tables 1-4 and 7 (CIFAR); 18, 26 and 34 are of the ResNet paper and of common use.
_TABLE = (
    Variant("resnet18", 18),
    Variant("resnet26", 26),
    Variant("resnet34", 34),
    Variant("resnet50", 50),
    Variant("resnet101", 101),
    Variant("resnet101_1x100d", 101, 1, 100),
    Variant("resnet152", 152),
    Variant("resnet200", 200),
    Variant("resnext26_32x4d", 26, 32, 4),
    Variant("resnext50_2x40d", 50, 2, 40),
    Variant("resnext50_4x24d", 50, 4, 24),
    Variant("resnext50_8x14d", 50, 8, 14),
    Variant("resnext50_32x4d", 50, 32, 4),
    Variant("resnext101_2x40d", 101, 2, 40),
    Variant("resnext101_4x24d", 101, 4, 24),
    Variant("resnext101_8x14d", 101, 8, 14),
    Variant("resnext101_2x64d", 101, 2, 64),
    Variant("resnext101_32x4d", 101, 32, 4),
    Variant("resnext101_32x8d", 101, 32, 8),
    Variant("resnext101_64x4d", 101, 64, 4),
    Variant("resnext152_32x4d", 152, 32, 4),
    Variant("resnext152_32x8d", 152, 32, 8),
    Variant("resnet29_1x64d", 29, 1, 64, "cifar"),
    Variant("resnext29_8x64d", 29, 8, 64, "cifar"),
    Variant("resnext29_16x64d", 29, 16, 64, "cifar"),
)


def list_variants() -> tuple[str, ...]:
    """Returns the names of all variants, sorted."""
    return tuple(sorted(variant.name for variant in _TABLE))


def get_variant(name: str) -> Variant:
    """Finds a variant by name.

    Raises:
        UserError: if no variant has that name; the message gives the nearest one.
    """
    by_name = {variant.name: variant for variant in _TABLE}
    if not isinstance(name, str):
        raise UserError(
            f"a variant's name is wanted, such as 'resnext50_32x4d', not {name!r} "
            f"(list_variants() gives all {len(by_name)})"
        )
    if name in by_name:
        return by_name[name]
    # Comparing takes as long as the name, which a config gives.
    close = difflib.get_close_matches(name[:200], by_name, n=1, cutoff=0.0)
    raise UserError(
        f"no variant is named {name!r}; the nearest is {close[0]!r} "
        f"(list_variants() gives all {len(by_name)})"
    )
