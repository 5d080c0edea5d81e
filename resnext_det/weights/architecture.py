"""What network a state dict belongs to, read from its shapes. Engine-neutral."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

_BLOCK = re.compile(r"(?:^|\.)(res\d)\.(\d+)\.conv(\d)\.weight$")


@dataclass(frozen=True)
class Architecture:
    """The numbers that tell ResNets and ResNeXts apart.

    Attributes:
        blocks: name of the stage -> number of its blocks, in order of the stages.
        bottleneck: three convolutions in a block, not two.
        num_groups: cardinality of the 3x3 convolutions.
        width_per_group: channels of one group in res2.
    """

    blocks: tuple[tuple[str, int], ...]
    bottleneck: bool
    num_groups: int
    width_per_group: int

    @property
    def depth(self) -> int:
        """Layers in convention: those in the blocks, the stem and the classifier."""
        return sum(count for _, count in self.blocks) * (3 if self.bottleneck else 2) + 2

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


def infer_architecture(state: Mapping[str, Tensor]) -> Architecture | None:
    """Reads the architecture off a state dict in our names, under any prefix.

    Args:
        state: name -> tensor of a classifier, a backbone or a detector. A C4 detector's
            res5, which sits in its head, counts too.

    Returns:
        The architecture, or None without a res2 in the grouped form.
    """
    found = {(m[1], int(m[2]), int(m[3])): state[key] for key in state if (m := _BLOCK.search(key))}
    # The second convolution is the 3x3 of a bottleneck: (C * d, d, 3, 3) in res2.
    second = found.get(("res2", 0, 2))
    if second is None or second.dim() != 4:
        return None
    stages = sorted({stage for stage, _, _ in found})
    blocks = tuple((s, 1 + max(block for stage, block, _ in found if stage == s)) for s in stages)
    out_channels, in_per_group = second.shape[:2]
    return Architecture(
        blocks=blocks,
        bottleneck=("res2", 0, 3) in found,
        num_groups=out_channels // in_per_group,
        width_per_group=in_per_group,
    )
