"""What network a state dict belongs to, read from its shapes. Engine-neutral."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.modeling.layout import BASIC_DEPTHS, BLOCKS_PER_STAGE
from resnext_det.modeling.resnet import ResNet
from resnext_det.modeling.variants import get_variant, list_variants
from resnext_det.weights.naming.norms import norm_of

_BLOCK = re.compile(r"(?:^|\.)(res\d)\.(\d{1,3})\.conv(\d)\.weight$")
_STEM = re.compile(r"(?:^|\.)stem\.conv1\.weight$")
_STEM_KERNELS = {7: "imagenet", 3: "cifar"}
_USUAL_STEM = 64  # channels out of the stem
# What a plain ResNet or ResNeXt does not have -> its names, in any library's naming.
_SPECIAL = {
    "deformable convolutions": r"\.conv2_offset\.|\.conv2\.conv_offset\.",
    "a deep stem": r"(^|\.)stem\.(conv1_\d|conv[23]|\d)\.|^(backbone\.)?conv1\.\d",
    "squeeze and excitation": r"\.(se|se_module|se_layer)\.",
    "blocks in separate paths": r"(^|\.)res\d\.\d+\.paths\.\d+\.",
    "attention or selective kernels": r"\.conv2\.(attn|fc\d|bn\d|conv_kxk|paths)\.|\.attn_last\.",
    "averaging shortcuts": r"\.downsample\.2\.",
}


@dataclass(frozen=True)
class Architecture:
    """The numbers that tell ResNets and ResNeXts apart.

    Attributes:
        blocks: name of the stage -> number of its blocks, in order of the stages.
        bottleneck: three convolutions in a block, not two.
        num_groups: cardinality of the 3x3 convolutions.
        width_per_group: channels of one group in res2.
        stem: "imagenet" (7x7), "cifar" (3x3), or "" where there is none or another one.
        stem_out_channels: channels out of the stem; None where there is none.
        res2_out_channels: channels out of res2; None where that is not seen.
        norm: of the backbone: "BN" (FrozenBN and SyncBN have the same names), "GN", or "".
        special: what no plain ResNet or ResNeXt has, in words; see `special_parts`.
    """

    blocks: tuple[tuple[str, int], ...]
    bottleneck: bool
    num_groups: int
    width_per_group: int
    stem: str = ""
    stem_out_channels: int | None = None
    res2_out_channels: int | None = None
    norm: str = ""
    special: tuple[str, ...] = ()

    @property
    def kind(self) -> str:
        """ResNeXt from two groups on, else ResNet."""
        return "ResNeXt" if self.num_groups > 1 else "ResNet"

    @property
    def depths(self) -> tuple[int, ...]:
        """Known depths whose first stages these are; several where the last ones are missing."""
        counts = tuple(count for _, count in self.blocks)
        return tuple(
            depth
            for depth, stages in BLOCKS_PER_STAGE.items()
            if stages[: len(counts)] == counts and self.bottleneck == (depth not in BASIC_DEPTHS)
        )

    @property
    def depth(self) -> int:
        """Layers in convention: those in the blocks, the stem and the classifier.

        Where the last stages are missing, as in the backbone of a C4 detector, it is that of the
        one network that begins so; where several do, the missing ones count as nothing.
        """
        if len(self.depths) == 1:
            return self.depths[0]
        return sum(count for _, count in self.blocks) * (3 if self.bottleneck else 2) + 2

    @property
    def variant(self) -> str | None:
        """The name in `list_variants()`, None where no variant has these numbers."""
        if self.res2_out_channels not in (None, 256 if self.bottleneck else 64):
            return None
        if self.stem_out_channels not in (None, _USUAL_STEM):
            return None
        mine = (self.depth, self.num_groups, self.width_per_group)
        for variant in map(get_variant, list_variants()):
            theirs = (variant.depth, variant.num_groups, variant.width_per_group)
            if mine == theirs and self.stem in ("", variant.stem):
                return variant.name
        return None

    @property
    def name(self) -> str:
        """The variant's name, or the numbers, as side-cars have it."""
        return self.variant or f"{self.kind} {self}"

    def __str__(self) -> str:
        return f"{self.num_groups}x{self.width_per_group}d (depth {self.depth})"

    def fits(self, other: "Architecture") -> bool:
        """Compares two networks over the stages that both have."""
        mine, theirs = dict(self.blocks), dict(other.blocks)
        common = mine.keys() & theirs.keys()
        return (
            all(mine[stage] == theirs[stage] for stage in common)
            and self.bottleneck == other.bottleneck
            and (self.num_groups, self.width_per_group) == (other.num_groups, other.width_per_group)
        )

    def build(
        self,
        *,
        norm: str = "FrozenBN",
        stride_in_1x1: bool = False,
        num_classes: int | None = None,
    ) -> ResNet | None:
        """Builds the network with the stages that are there, on the current device.

        Args:
            norm: of `ResNet`.
            stride_in_1x1: of `ResNet`.
            num_classes: of a linear layer; None for none.

        Returns:
            The network with random weights, its features all stages and "linear"; None where it
            is more than a plain ResNet or ResNeXt, or of a depth that is not known.
        """
        linear = [] if num_classes is None else ["linear"]
        stages = BLOCKS_PER_STAGE.get(self.depth, ())[: len(self.blocks)]
        expected = tuple((f"res{i}", count) for i, count in enumerate(stages, 2))
        basic = self.depth in BASIC_DEPTHS
        if self.special or not self.stem or self.blocks != expected or basic == self.bottleneck:
            return None
        try:
            return ResNet(
                depth=self.depth,
                num_groups=self.num_groups,
                width_per_group=self.width_per_group,
                stem=self.stem,
                stem_out_channels=self.stem_out_channels or _USUAL_STEM,
                res2_out_channels=self.res2_out_channels,
                stride_in_1x1=stride_in_1x1,
                norm=norm,
                num_classes=num_classes,
                out_features=[*(name for name, _ in self.blocks), *linear],
            )
        except UserError:  # widths that no network has: the file says them, not the user
            return None


def architecture_of(depth: int, num_groups: int, width_per_group: int) -> Architecture:
    """Returns what a variant or a config says by these numbers.

    Args:
        depth: a key of `BLOCKS_PER_STAGE`.
        num_groups: cardinality.
        width_per_group: channels of one group in res2.
    """
    blocks = tuple((f"res{i}", count) for i, count in enumerate(BLOCKS_PER_STAGE[depth], 2))
    return Architecture(blocks, depth not in BASIC_DEPTHS, num_groups, width_per_group)


def infer_architecture(state: Mapping[str, Tensor]) -> Architecture | None:
    """Reads the architecture off a state dict in our names, under any prefix.

    Args:
        state: name -> tensor of a classifier, a backbone or a detector. A C4 detector's
            res5, which sits in its head, counts too.

    Returns:
        The architecture, or None without a res2 in the grouped form.
    """
    found = {
        (m[1], int(m[2]), int(m[3])): value
        for key, value in state.items()
        if (m := _BLOCK.search(key)) and value.dim() == 4
    }
    # The second convolution is the 3x3 of a bottleneck: (C * d, d, 3, 3) in res2.
    second = found.get(("res2", 0, 2))
    if second is None or not second.shape[1] or second.shape[0] < second.shape[1]:
        return None
    stages = sorted({stage for stage, _, _ in found})
    blocks = tuple((s, 1 + max(block for stage, block, _ in found if stage == s)) for s in stages)
    out_channels, in_per_group = second.shape[:2]
    stem = next((v for k, v in state.items() if _STEM.search(k) and v.dim() == 4), None)
    return Architecture(
        blocks=blocks,
        bottleneck=("res2", 0, 3) in found,
        num_groups=out_channels // in_per_group,
        width_per_group=in_per_group,
        stem="" if stem is None else _STEM_KERNELS.get(stem.shape[-1], ""),
        stem_out_channels=None if stem is None else stem.shape[0],
        res2_out_channels=found.get(("res2", 0, 3), second).shape[0],
        norm=norm_of(state),
        special=special_parts(state),
    )


def special_parts(names: Iterable[str]) -> tuple[str, ...]:
    """Returns what no plain ResNet or ResNeXt has, in words, told by names of any library."""
    names = list(names)
    return tuple(
        words
        for words, pattern in _SPECIAL.items()
        if any(re.search(pattern, name) for name in names)
    )
