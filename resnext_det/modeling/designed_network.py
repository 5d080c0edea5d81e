"""The numbers of a network that is designed, or designed after: no torch. Engine-neutral."""

import re
from dataclasses import dataclass
from typing import Any

from resnext_det.errors import UserError
from resnext_det.modeling.layout import BASIC_DEPTHS, BLOCKS_PER_STAGE
from resnext_det.modeling.variants import Variant, get_variant, list_variants

STEM_CHANNELS = 64
RES2_CHANNELS = 256
MAX_GROUP_WIDTH = 8192  # C · d in res2; res5 has eight times as many channels
_TEMPLATE = re.compile(r"([1-9][0-9]{0,8})x([1-9][0-9]{0,8})d")


@dataclass(frozen=True)
class DesignedNetwork:
    """A network of bottleneck blocks.

    Attributes:
        depth: a key of `layout.BLOCKS_PER_STAGE`.
        num_groups: cardinality C.
        width_per_group: d in res2.
        stem: "imagenet" or "cifar".
        stem_out_channels: channels of the stem.
        res2_out_channels: channels out of res2.
        image_size: pixels; multiply-adds are counted on its square.
        num_classes: outputs of the linear layer.
    """

    depth: int
    num_groups: int = 1
    width_per_group: int = 64
    stem: str = "imagenet"
    stem_out_channels: int = STEM_CHANNELS
    res2_out_channels: int = RES2_CHANNELS
    image_size: int = 224
    num_classes: int = 1000

    @property
    def group_width(self) -> int:
        """C · d, channels of the grouped convolutions in res2."""
        return self.num_groups * self.width_per_group

    @property
    def template(self) -> str:
        """Cardinality and width, as in "32x4d"."""
        return f"{self.num_groups}x{self.width_per_group}d"

    @property
    def has_usual_channels(self) -> bool:
        """Whether stem and stages are as wide as those of all named variants."""
        return (self.stem_out_channels, self.res2_out_channels) == (STEM_CHANNELS, RES2_CHANNELS)

    @property
    def variant(self) -> str | None:
        """The named variant that this is, if any."""
        mine = (self.depth, self.num_groups, self.width_per_group, self.stem)
        for variant in map(get_variant, list_variants()):
            numbers = (variant.depth, variant.num_groups, variant.width_per_group, variant.stem)
            if self.has_usual_channels and numbers == mine:
                return variant.name
        return None

    @property
    def name(self) -> str:
        """For tables, as in "ResNet-50" and "ResNeXt-50 32x4d"."""
        family = "ResNet" if self.num_groups == 1 else "ResNeXt"
        plain = self.variant == f"resnet{self.depth}"
        return f"{family}-{self.depth}" + ("" if plain else f" {self.template}")

    @property
    def tag(self) -> str:
        """For file names, as in "R_50" and "X_50_32x4d"."""
        parts = ["R" if self.num_groups == 1 else "X", str(self.depth)]
        if self.variant != f"resnet{self.depth}":
            parts.append(self.template)
        if self.stem_out_channels != STEM_CHANNELS:
            parts.append(f"stem{self.stem_out_channels}")
        if self.res2_out_channels != RES2_CHANNELS:
            parts.append(f"stages{self.res2_out_channels}")
        return "_".join(parts)

    @property
    def arguments(self) -> dict[str, Any]:
        """Its arguments of `ResNet` and `Classifier`."""
        names = ("depth", "num_groups", "width_per_group", "stem")
        names += ("stem_out_channels", "res2_out_channels")
        return {name: getattr(self, name) for name in names}


def reference_network(
    *,
    like: str | None = None,
    depth: int | None = None,
    template: str | None = None,
    stem_channels: int = STEM_CHANNELS,
    res2_channels: int = RES2_CHANNELS,
) -> DesignedNetwork:
    """Returns the network to design after.

    Args:
        like: a variant of bottleneck blocks; or else
        depth: any depth of bottleneck blocks: ResNet of 1x64d; 29 is CIFAR's.
        template: "CxDd", with `depth`: instead of the 1x64d.
        stem_channels: channels of the stem.
        res2_channels: channels out of res2. The width follows them where `template` does not
            say it: 128 of them, half of the usual, make 1x64d a 1x32d.

    Raises:
        UserError: an unknown name or depth, basic blocks, or numbers that make no network.
    """
    if (like is None) == (depth is None):
        raise UserError("one of a variant's name and a depth is wanted, to design after")
    if like is not None and template is not None:
        raise UserError(
            f"{like} and template {template} contradict each other: name a depth instead"
        )
    variant = _variant_of_depth(depth) if like is None else get_variant(like)
    if variant.depth in BASIC_DEPTHS:
        raise UserError(
            f"{variant.name} is made of basic blocks, which have no groups to design: choose "
            "depth 26, 29 or from 50 up"
        )
    for what, channels in (("stem", stem_channels), ("res2", res2_channels)):
        if not 1 <= channels <= MAX_GROUP_WIDTH:
            raise UserError(f"{what} channels {channels}: there must be 1 to {MAX_GROUP_WIDTH}")
    if template is None:
        num_groups = variant.num_groups
        width = _scaled(variant, res2_channels)
    else:
        num_groups, width = _parse_template(template)
    return DesignedNetwork(
        depth=variant.depth,
        num_groups=num_groups,
        width_per_group=width,
        stem=variant.stem,
        stem_out_channels=stem_channels,
        res2_out_channels=res2_channels,
        image_size=variant.image_size,
        num_classes=variant.num_classes,
    )


def _variant_of_depth(depth: int | None) -> Variant:
    """The plain ResNet of that depth: the one of 1x64d."""
    for variant in map(get_variant, list_variants()):
        if (variant.depth, variant.num_groups, variant.width_per_group) == (depth, 1, 64):
            return variant
    known = ", ".join(str(known) for known in BLOCKS_PER_STAGE if known not in BASIC_DEPTHS)
    raise UserError(f"no ResNet of depth {depth} is known: choose one of {known}")


def _scaled(variant: Variant, res2_channels: int) -> int:
    """The variant's width, narrowed or widened with its stages."""
    width, remainder = divmod(variant.width_per_group * res2_channels, RES2_CHANNELS)
    if remainder or not width:
        raise UserError(
            f"res2 channels {res2_channels} would make the width of {variant.name}, "
            f"{variant.width_per_group}, no whole number: name depth and template, as in 1x32d"
        )
    return width


def _parse_template(template: str) -> tuple[int, int]:
    match = _TEMPLATE.fullmatch(template)
    if not match:
        raise UserError(f"template {template!r}: cardinality and width are wanted, as in 1x64d")
    num_groups, width = map(int, match.groups())
    if num_groups * width > MAX_GROUP_WIDTH:
        raise UserError(
            f"template {template}: C·d is {num_groups * width}, more than the {MAX_GROUP_WIDTH} "
            "designed for"
        )
    return num_groups, width
