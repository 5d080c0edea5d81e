"""ResNet and ResNeXt, the one backbone of the project, in plain PyTorch. Engine-neutral."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any, Self

import torch
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.modeling.blocks import (
    BasicBlock,
    BottleneckBlock,
    CifarStem,
    CNNBlock,
    ImageNetStem,
    ResidualBlock,
)
from resnext_det.modeling.checkpointing import run_checkpointed
from resnext_det.modeling.deform import DeformBottleneckBlock
from resnext_det.modeling.forms import FORMS, ConcatBottleneck, SplitBottleneck
from resnext_det.modeling.layout import (
    BASIC_DEPTHS,
    STEMS,
    StageSpec,
    check_out_features,
    plan_stages,
)
from resnext_det.structures import ShapeSpec

_BOTTLENECKS: dict[str, type[ResidualBlock]] = {
    "grouped": BottleneckBlock,
    "split": SplitBottleneck,
    "concat": ConcatBottleneck,
}


class ResNetBody(nn.Module):
    """Stem, stages and optional linear layer, with Detectron2's parameter names.

    `stem.conv1.{weight,norm.*}`, `res2.0.{shortcut,conv1,conv2,conv3}.{weight,norm.*}` …,
    `linear.{weight,bias}`. A ResNeXt is the same network with `num_groups` above 1.
    `ResNet` returns its feature maps, `Classifier` its logits.
    """

    def __init__(
        self,
        *,
        depth: int,
        num_groups: int = 1,
        width_per_group: int = 64,
        stem_out_channels: int = 64,
        res2_out_channels: int | None = None,
        stride_in_1x1: bool = False,
        norm: str = "FrozenBN",
        freeze_at: int = 0,
        out_features: Sequence[str] | None = None,
        res5_dilation: int = 1,
        deform_on_per_stage: Sequence[bool] = (),
        deform_modulated: bool = False,
        deform_num_groups: int = 1,
        stem: str = "imagenet",
        block_form: str = "grouped",
        shortcuts: bool = True,
        zero_init_residual: bool = False,
        activation_checkpointing: bool = False,
        num_classes: int | None = None,
    ) -> None:
        """Builds and initialises the network, on the meta device too.

        Args:
            depth: 18, 34 (basic blocks), 26, 50, 101, 152, 200, or 29 (three CIFAR stages).
            num_groups: cardinality C; basic blocks allow only 1.
            width_per_group: d, channels of one group in res2; basic blocks ignore it.
            stem_out_channels: channels of the stem.
            res2_out_channels: channels out of res2, doubled per stage; None for the usual 64
                (basic blocks) or 256.
            stride_in_1x1: stride in the first 1x1 of a stage instead of its 3x3.
            norm: "FrozenBN", "BN", "SyncBN", "GN", or "" for none.
            freeze_at: stages to freeze: 0 none, 1 the stem, 2 the stem and res2 …
            out_features: any of "stem", "res2" … "linear"; stages after the last one named
                are not built. None for all stages, or "linear" with num_classes.
            res5_dilation: 2 keeps res5 at stride 16 (DC5).
            deform_on_per_stage: for res2 … res5, whether its 3x3 convolutions are deformable
                (arXiv 1703.06211); empty for none.
            deform_modulated: version 2 of them, with a mask (arXiv 1811.11168).
            deform_num_groups: groups of channels with offsets of their own.
            stem: "imagenet" (7x7 stride 2, max-pool) or "cifar" (3x3).
            block_form: "grouped", "split" or "concat": the paper's forms (c), (a), (b).
            shortcuts: False leaves out all residual connections, projections too (ResNeXt
                paper, Section 5.1: what they are worth).
            zero_init_residual: start the last norm of each branch at scale 0
                (arXiv 1706.02677, Section 5.1).
            activation_checkpointing: while training, keep only block inputs and compute
                the rest again in the backward pass.
            num_classes: outputs of a linear layer after global pooling; None for no such layer.

        Raises:
            UserError: if the arguments contradict each other or name nothing known.
        """
        super().__init__()
        plan = plan_stages(
            depth=depth,
            num_groups=num_groups,
            width_per_group=width_per_group,
            stem_out_channels=stem_out_channels,
            res2_out_channels=res2_out_channels,
            res5_dilation=res5_dilation,
            deform_on_per_stage=deform_on_per_stage,
        )
        _check_choices(depth, stem, block_form)
        if zero_init_residual:
            _check_zero_init(norm, shortcuts)
        if any(deform_on_per_stage) and block_form != "grouped":
            raise UserError(
                f"block_form {block_form!r} has no deformable convolutions: set it to 'grouped', "
                "or deform_on_per_stage to False throughout"
            )
        if num_classes is not None:
            check_num_classes(num_classes)
        self.num_classes = num_classes
        self.activation_checkpointing = activation_checkpointing
        self.out_features = _resolve_out_features(out_features, plan, num_classes)

        self.stem = (ImageNetStem if stem == "imagenet" else CifarStem)(stem_out_channels, norm)
        block_class, options = BasicBlock, {"residual": shortcuts}
        if depth not in BASIC_DEPTHS:
            block_class = _BOTTLENECKS[block_form]
            options |= {"num_groups": num_groups, "stride_in_1x1": stride_in_1x1}
        deform = {"deform_modulated": deform_modulated, "deform_num_groups": deform_num_groups}
        built = plan[: _num_stages(self.out_features, plan, num_classes)]
        for spec in built:
            if spec.deformable:
                stage = _build_stage(spec, DeformBottleneckBlock, norm, options | deform)
            else:
                stage = _build_stage(spec, block_class, norm, options)
            self.add_module(spec.name, stage)
        self.stage_names = tuple(spec.name for spec in built)
        if num_classes is not None:
            self._add_linear(built[-1].out_channels, num_classes)
        if zero_init_residual:
            self._zero_last_norms()
        self.freeze(freeze_at)

    def _add_linear(self, in_features: int, num_classes: int) -> None:
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.linear = nn.Linear(in_features, num_classes)
        nn.init.normal_(self.linear.weight, std=0.01)  # arXiv 1706.02677, Section 5.1

    def _zero_last_norms(self) -> None:
        for block in self.modules():
            if isinstance(block, ResidualBlock) and block.last_norm is not None:
                weight = block.last_norm.weight
                assert isinstance(weight, Tensor)
                nn.init.zeros_(weight)

    def stages(self) -> list[nn.Sequential]:
        """Returns the residual stages that were built, res2 first."""
        stages = [self.get_submodule(name) for name in self.stage_names]
        return [stage for stage in stages if isinstance(stage, nn.Sequential)]

    @property
    def size_divisibility(self) -> int:
        """What image sides must be a multiple of: 0, nothing (Detectron2's meaning)."""
        return 0

    def features(self, x: Tensor) -> dict[str, Tensor]:
        """Computes the features asked for.

        Args:
            x: (N, 3, H, W) float, normalised pixels; N may be 0.

        Returns:
            For each stage named in out_features, (N, C, H / stride, W / stride), sides rounded
            up; for "linear", logits (N, num_classes).

        Raises:
            ValueError: if x is not (N, 3, H, W).
        """
        if x.dim() != 4 or x.shape[1] != 3:
            raise ValueError(f"a ResNet takes images of shape (N, 3, H, W); got {tuple(x.shape)}")
        outputs = {"stem": self.stem(x)}
        x = outputs["stem"]
        for name, stage in zip(self.stage_names, self.stages(), strict=True):
            outputs[name] = x = self._run_stage(stage, x)
        if "linear" in self.out_features:
            outputs["linear"] = self.linear(torch.flatten(self.avgpool(x), 1))
        return {name: outputs[name] for name in outputs if name in self.out_features}

    def _run_stage(self, stage: nn.Sequential, x: Tensor) -> Tensor:
        if not (self.activation_checkpointing and self.training and torch.is_grad_enabled()):
            return stage(x)
        for block in stage:
            x = run_checkpointed(block, x)
        return x

    def output_shape(self) -> dict[str, ShapeSpec]:
        """Returns channels and stride of each feature map asked for ("linear" is none)."""
        stride = self.stem.stride
        shapes = {"stem": ShapeSpec(self.stem.out_channels, stride)}
        for name, stage in zip(self.stage_names, self.stages(), strict=True):
            for block in stage:
                assert isinstance(block, CNNBlock)
                stride *= block.stride
                shapes[name] = ShapeSpec(block.out_channels, stride)
        return {name: shape for name, shape in shapes.items() if name in self.out_features}

    def freeze(self, freeze_at: int = 0) -> Self:
        """Freezes the first stages: no gradients, and their BatchNorm becomes FrozenBN.

        Args:
            freeze_at: 0 nothing, 1 the stem, 2 the stem and res2, … 5 all.

        Raises:
            UserError: if freeze_at is not in 0 … 5.
        """
        if freeze_at not in range(6):
            raise UserError(f"freeze_at must be 0 … 5 (a number of stages); it is {freeze_at}")
        stages = [[self.stem], *self.stages()]
        for stage in stages[:freeze_at]:
            for block in stage:
                assert isinstance(block, CNNBlock)
                block.freeze()
        return self


class ResNet(ResNetBody):
    """The backbone: images to a dict of feature maps. Arguments: see `ResNetBody`."""

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """Maps (N, 3, H, W) to the features named in out_features; see `features`."""
        return self.features(x)


def check_num_classes(num_classes: object) -> None:
    """Checks that it is a whole number from 1 on, numpy's too.

    Raises:
        UserError: it is something else.
    """
    if not isinstance(num_classes, Integral) or isinstance(num_classes, bool):
        raise UserError(f"num_classes must be a whole number; it is {num_classes!r}")
    if num_classes < 1:
        raise UserError(f"num_classes must be at least 1; it is {num_classes}")


def _build_stage(
    spec: StageSpec, block_class: type[ResidualBlock], norm: str, options: dict[str, Any]
) -> nn.Sequential:
    if block_class is not BasicBlock:
        options = {
            **options,
            "bottleneck_channels": spec.bottleneck_channels,
            "dilation": spec.dilation,
        }
    blocks = []
    for i in range(spec.num_blocks):
        in_channels = spec.out_channels if i else spec.in_channels
        stride = 1 if i else spec.stride
        blocks.append(
            block_class(in_channels, spec.out_channels, stride=stride, norm=norm, **options)
        )
    return nn.Sequential(*blocks)


def _resolve_out_features(
    out_features: Sequence[str] | None, plan: Sequence[StageSpec], num_classes: int | None
) -> tuple[str, ...]:
    stage_names = [spec.name for spec in plan]
    linear = [] if num_classes is None else ["linear"]
    if out_features is None:
        return tuple(linear or stage_names)
    check_out_features(out_features, ["stem", *stage_names, *linear])
    return tuple(out_features)


def _num_stages(
    out_features: Sequence[str], plan: Sequence[StageSpec], num_classes: int | None
) -> int:
    """Stages to build: unused ones would cost memory and stop DDP, which awaits gradients."""
    if num_classes is not None:
        return len(plan)
    return max((i for i, spec in enumerate(plan, 1) if spec.name in out_features), default=0)


def _check_choices(depth: int, stem: str, block_form: str) -> None:
    for name, value, known in (("stem", stem, STEMS), ("block_form", block_form, FORMS)):
        if value not in known:
            raise UserError(f"unknown {name} {value!r}: choose one of {', '.join(known)}")
    if depth in BASIC_DEPTHS and block_form != "grouped":
        raise UserError(
            f"depth {depth} is made of basic blocks: block_form must be 'grouped', "
            f"not {block_form!r}"
        )


def _check_zero_init(norm: str, shortcuts: bool) -> None:
    if not shortcuts:
        raise UserError(
            "zero_init_residual cannot work without shortcuts: every block would answer 0, and "
            "never learn; set zero_init_residual to False, or shortcuts to True"
        )
    if norm in ("FrozenBN", ""):
        raise UserError(
            f"zero_init_residual cannot work with norm {norm!r}, which has no scale to train: "
            "set zero_init_residual to False, or norm to BN, SyncBN or GN"
        )
