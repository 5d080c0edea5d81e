"""Keys of `MODEL.RESNETS` that do not go together. Engine-neutral."""

from collections.abc import Iterator

from fvcore.common.config import CfgNode

BASIC_DEPTHS = (18, 34)  # blocks of two 3x3 convolutions, without groups
THREE_STAGE_DEPTHS = (29,)  # the CIFAR layout: no res5
GN_GROUPS = 32  # Group Normalization (Wu and He, 2018), section 4, as Detectron2 has it


def backbone_problems(cfg: CfgNode) -> Iterator[str]:
    """One line for each combination that makes no network, by the keys' names.

    The model classes refuse them too, but only when they are built, and in their own words.
    """
    net = cfg.MODEL.RESNETS
    if net.DEPTH in BASIC_DEPTHS:
        yield from _basic_block_problems(net)
    last = 4 if net.DEPTH in THREE_STAGE_DEPTHS else 5
    known = ["stem", *(f"res{i}" for i in range(2, last + 1)), "linear"]
    if not net.OUT_FEATURES or not set(net.OUT_FEATURES) <= set(known):
        yield (
            f"MODEL.RESNETS.OUT_FEATURES is {list(net.OUT_FEATURES)}; depth {net.DEPTH} has "
            f"{', '.join(known)}"
        )
    if net.RES5_DILATION != 1 and last < 5:
        yield f"MODEL.RESNETS.RES5_DILATION is {net.RES5_DILATION}; depth {net.DEPTH} has no res5"
    yield from _deformable_problems(net, last)
    if net.ZERO_INIT_RESIDUAL and not net.SHORTCUTS:
        yield (
            "MODEL.RESNETS.ZERO_INIT_RESIDUAL is True, but MODEL.RESNETS.SHORTCUTS False leaves "
            "blocks that would answer 0 and never learn; set one of the two otherwise"
        )
    if net.ZERO_INIT_RESIDUAL and net.NORM in ("FrozenBN", ""):
        yield (
            f"MODEL.RESNETS.ZERO_INIT_RESIDUAL is True, but MODEL.RESNETS.NORM {net.NORM!r} has "
            "no scale to train"
        )
    if net.NORM == "GN":
        yield from _group_norm_problems(net)


def _basic_block_problems(net: CfgNode) -> Iterator[str]:
    wanted = {
        "NUM_GROUPS": 1,
        "RES2_OUT_CHANNELS": 64,
        "RES5_DILATION": 1,
        "BLOCK_FORM": "grouped",
    }
    for name, want in wanted.items():
        if net[name] != want:
            yield (
                f"MODEL.RESNETS.{name} is {net[name]!r}; depth {net.DEPTH} (basic blocks) "
                f"needs {want!r}"
            )


def _deformable_problems(net: CfgNode, last: int) -> Iterator[str]:
    key, deformable = "MODEL.RESNETS.DEFORM_ON_PER_STAGE", list(net.DEFORM_ON_PER_STAGE)
    if len(deformable) != 4 or not all(isinstance(value, bool) for value in deformable):
        yield f"{key} is {deformable}; it is True or False for each of res2, res3, res4, res5"
        return
    if not any(deformable):
        return
    if net.DEPTH in BASIC_DEPTHS:
        yield f"{key} is {deformable}; depth {net.DEPTH} (basic blocks) has none deformable"
    elif any(deformable[last - 1 :]):
        yield f"{key} is {deformable}; depth {net.DEPTH} has no res5"
    elif net.BLOCK_FORM != "grouped":
        yield f"{key} is {deformable}, which needs MODEL.RESNETS.BLOCK_FORM 'grouped'"
    groups = net.DEFORM_NUM_GROUPS
    width = net.NUM_GROUPS * net.WIDTH_PER_GROUP << deformable.index(True)
    if groups < 1 or width % groups:
        yield (
            f"MODEL.RESNETS.DEFORM_NUM_GROUPS is {groups}; it has to divide the {width} channels "
            f"of res{deformable.index(True) + 2}'s 3x3 convolutions"
        )


def _group_norm_problems(net: CfgNode) -> Iterator[str]:
    width = net.NUM_GROUPS * net.WIDTH_PER_GROUP
    if net.DEPTH not in BASIC_DEPTHS and width % GN_GROUPS:
        yield (
            f"MODEL.RESNETS.NORM GN needs widths that {GN_GROUPS} divides, but NUM_GROUPS "
            f"{net.NUM_GROUPS} x WIDTH_PER_GROUP {net.WIDTH_PER_GROUP} is {width}"
        )
    for name in ("STEM_OUT_CHANNELS", "RES2_OUT_CHANNELS"):
        if net[name] % GN_GROUPS:
            yield (
                f"MODEL.RESNETS.NORM GN needs widths that {GN_GROUPS} divides, but "
                f"MODEL.RESNETS.{name} is {net[name]}"
            )
