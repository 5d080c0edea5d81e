"""Arithmetic of a ResNet or ResNeXt: stages, widths, strides, limits. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass

from resnext_det.errors import UserError

# ResNet paper (arXiv 1512.03385), Table 1; 200: arXiv 1603.05027; 29: ResNeXt paper, Section 5.3.
BLOCKS_PER_STAGE = {
    18: (2, 2, 2, 2),
    26: (2, 2, 2, 2),
    29: (3, 3, 3),
    34: (3, 4, 6, 3),
    50: (3, 4, 6, 3),
    101: (3, 4, 23, 3),
    152: (3, 8, 36, 3),
    200: (3, 24, 36, 3),
}
BASIC_DEPTHS = (18, 34)
MAX_STAGES = 4
STEMS = ("imagenet", "cifar")


@dataclass(frozen=True)
class StageSpec:
    """One stage: blocks that make maps of one size.

    Attributes:
        name: "res2" … "res5".
        num_blocks: number of residual blocks.
        in_channels, out_channels: channels into and out of the stage.
        bottleneck_channels: C · d of the 3x3 convolutions; unused by basic blocks.
        stride: of the first block.
        dilation: of the 3x3 convolutions.
        deformable: its 3x3 convolutions are deformable.
    """

    name: str
    num_blocks: int
    in_channels: int
    out_channels: int
    bottleneck_channels: int
    stride: int
    dilation: int
    deformable: bool


def plan_stages(
    *,
    depth: int,
    num_groups: int,
    width_per_group: int,
    stem_out_channels: int,
    res2_out_channels: int | None,
    res5_dilation: int,
    deform_on_per_stage: Sequence[bool] = (),
) -> tuple[StageSpec, ...]:
    """Lays out all stages of a network; output and bottleneck channels double at each.

    Args:
        depth: a key of `BLOCKS_PER_STAGE`.
        num_groups: cardinality C.
        width_per_group: d, in res2.
        stem_out_channels: channels into res2.
        res2_out_channels: channels out of res2; None for 64 (basic blocks) or 256.
        res5_dilation: 1, or 2 to keep res5 at the stride of res4.
        deform_on_per_stage: for res2 … res5, whether its convolutions are deformable; empty
            for none.

    Raises:
        UserError: if the numbers make no network.
    """
    _check_numbers(depth, num_groups, width_per_group, stem_out_channels, res2_out_channels)
    _check_dilation(depth, res5_dilation)
    _check_deformable(depth, deform_on_per_stage)
    out_channels = res2_out_channels or (64 if depth in BASIC_DEPTHS else 256)
    in_channels = stem_out_channels
    stages = []
    for i, num_blocks in enumerate(BLOCKS_PER_STAGE[depth]):
        dilation = res5_dilation if i == 3 else 1
        spec = StageSpec(
            name=f"res{i + 2}",
            num_blocks=num_blocks,
            in_channels=in_channels,
            out_channels=out_channels << i,
            bottleneck_channels=num_groups * width_per_group << i,
            stride=1 if i == 0 or dilation == 2 else 2,
            dilation=dilation,
            deformable=bool(deform_on_per_stage and deform_on_per_stage[i]),
        )
        stages.append(spec)
        in_channels = spec.out_channels
    return tuple(stages)


def check_out_features(out_features: Sequence[str], available: Sequence[str]) -> None:
    """Refuses features that the network does not have.

    Raises:
        UserError: naming the feature and those that exist; or if none is asked for.
    """
    known = ", ".join(available)
    if not out_features:
        raise UserError(f"out_features is empty: name at least one of {known}")
    for name in out_features:
        if name not in available:
            raise UserError(f"out_features names {name!r}, but this network has only {known}")


def _check_numbers(
    depth: int,
    num_groups: int,
    width_per_group: int,
    stem_out_channels: int,
    res2_out_channels: int | None,
) -> None:
    if depth not in BLOCKS_PER_STAGE:
        known = ", ".join(map(str, BLOCKS_PER_STAGE))
        raise UserError(f"no ResNet of depth {depth} is known: choose one of {known}")
    if depth in BASIC_DEPTHS and num_groups != 1:
        raise UserError(
            f"depth {depth} is made of basic blocks, which have no groups: set num_groups to 1 "
            f"(it is {num_groups}), or choose depth 26 or from 50 up for a ResNeXt"
        )
    widths = {
        "num_groups": num_groups,
        "width_per_group": width_per_group,
        "stem_out_channels": stem_out_channels,
        "res2_out_channels": 1 if res2_out_channels is None else res2_out_channels,
    }
    for name, value in widths.items():
        if value < 1:
            raise UserError(f"{name} must be at least 1; it is {value}")


def _check_dilation(depth: int, res5_dilation: int) -> None:
    if res5_dilation not in (1, 2):
        raise UserError(f"res5_dilation must be 1 or 2; it is {res5_dilation}")
    if res5_dilation == 2 and depth in BASIC_DEPTHS:
        raise UserError(f"depth {depth} is made of basic blocks: set res5_dilation to 1")
    if res5_dilation == 2 and len(BLOCKS_PER_STAGE[depth]) < 4:
        raise UserError(f"depth {depth} has no res5: set res5_dilation to 1")


def _check_deformable(depth: int, deform_on_per_stage: Sequence[bool]) -> None:
    given = list(deform_on_per_stage)
    if given and len(given) != MAX_STAGES:
        raise UserError(f"deform_on_per_stage is {given}; it has one value for each of res2 … res5")
    if depth in BASIC_DEPTHS and any(given):
        raise UserError(
            f"depth {depth} is made of basic blocks, which are not deformable: set "
            "deform_on_per_stage to False throughout, or choose depth 26 or from 50 up"
        )
    if any(given[len(BLOCKS_PER_STAGE[depth]) :]):
        raise UserError(f"depth {depth} has no res5: set the last of deform_on_per_stage to False")
