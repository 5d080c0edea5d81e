"""Filling a model with weights, and judging whether they are its own. Engine-neutral."""

import logging
from collections import OrderedDict
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from resnext_det.errors import UserError, few
from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.expressing import NORM_EPS
from resnext_det.weights.licences import normalised
from resnext_det.weights.matching import match_names
from resnext_det.weights.naming.detectron2 import backbone_ending, is_backbone_key
from resnext_det.weights.report import LoadReport, make_report
from resnext_det.weights.sources import Weights
from resnext_det.weights.suiting import check_architecture, check_norm, check_stride


def load_weights(model: nn.Module, weights: Weights, *, min_share: float) -> LoadReport:
    """Copies weights into a model, says in one log line what was loaded, and judges it.

    A name of the file fills the model's equal name, or the one that ends with it:
    a classifier's `res2.0.conv1.weight` the detector's `backbone.bottom_up.res2.0.conv1.weight`.
    Tensors of another shape are left alone: a head for other classes starts anew.

    Args:
        model: not wrapped for several processes.
        weights: from `resolve_weights`.
        min_share: MODEL.WEIGHTS_MIN_SHARE; 0 loads whatever fits, without judging.

    Raises:
        UserError: the file is of another architecture, norm or stride, fills less than `min_share`
            of the backbone, holds numbers that are not finite, variances below 0 or whole
            numbers, or one of its names fits several of the model's. Nothing has been filled then.
    """
    state = model.state_dict()
    pairs = match_names(state, weights.state, weights.source)
    report = make_report(
        state,
        weights.state,
        pairs,
        source=weights.source,
        licence=normalised(weights.side_car.licence),
    )
    if min_share > 0:
        _judge(model, state, weights, report, min_share)
    fitting = {
        name: weights.state[key]
        for name, key in pairs.items()
        if state[name].shape == weights.state[key].shape
    }
    _check_numbers(state, fitting, weights.source)
    _fill(model, state, fitting)
    logging.getLogger(__name__).info("%s", report)
    return report


def require_head(report: LoadReport) -> None:
    """Refuses to evaluate a model of which a part was not loaded, or weights of another backbone.

    Raises:
        UserError: tensors are missing or of another shape, the head's are named first; or the
            file's backbone has tensors that the model has no place for (its norms, say).
    """
    lacking = sorted((*report.missing, *report.mismatched), key=is_backbone_key)
    if lacking:
        raise UserError(
            f"{report.source}: cannot be evaluated, {len(lacking)} tensors of the model are not "
            f"in it or have another shape ({few(lacking)}): give the weights of a whole trained "
            "model with the same classes"
        )
    left_out = [name for name in report.unexpected if is_backbone_key(name)]
    if left_out:
        raise UserError(
            f"{report.source}: cannot be evaluated, {len(left_out)} tensors of its backbone have "
            f"no place in the model ({few(left_out)}): does MODEL.RESNETS say what it was "
            "trained with, NORM too?"
        )


def check_class_names(weights: Weights, class_names: tuple[str, ...], data: object) -> None:
    """Refuses to evaluate weights, or to continue their run, on other classes than their own.

    Args:
        weights: their class names may be unknown, which passes.
        class_names: the data's, in its order.
        data: file or folder of the data, for the message.

    Raises:
        UserError: a name, or their number or order, differs.
    """
    if weights.class_names and weights.class_names != class_names:
        raise UserError(
            f"{weights.source} was trained on the classes {few(weights.class_names, 5)} "
            f"({len(weights.class_names)}), but {data} has {few(class_names, 5)} "
            f"({len(class_names)}){_first_difference(weights.class_names, class_names)}"
        )


def _first_difference(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    pairs = enumerate(zip(theirs, ours, strict=False))
    differing = ((number, *pair) for number, pair in pairs if pair[0] != pair[1])
    return next((f"; class {n} is '{a}' there and '{b}' here" for n, a, b in differing), "")


def _judge(
    model: nn.Module,
    state: Mapping[str, Tensor],
    weights: Weights,
    report: LoadReport,
    min_share: float,
) -> None:
    theirs, ours = infer_architecture(weights.state), infer_architecture(state)
    # Asked first: 64x4d fits all of 32x8d but its 3x3 convolutions, 88 % of the numbers.
    check_architecture(theirs, ours, weights.source)
    if report.backbone_share < min_share:
        raise UserError(
            f"{weights.source} fills {report.backbone_share:.1%} of the backbone's parameters, "
            f"less than MODEL.WEIGHTS_MIN_SHARE ({min_share:.0%}): missing "
            f"{few(report.missing) or 'none'}; of another shape "
            f"{few(report.mismatched) or 'none'}{_prefix_hint(weights)}"
        )
    check_norm(model, weights)
    check_stride(model, weights)


def _prefix_hint(weights: Weights) -> str:
    """What to do about a detector's backbone, or a wrapped one, that has its own prefix."""
    endings = ((key, backbone_ending(key)) for key in weights.state)
    begin = next((key.removesuffix(ending) for key, ending in endings if ending), "")
    if not begin:
        return ""
    return (
        f"; its names have {begin!r} before those of the backbone, which the model has not: "
        f"`resnext-det weights convert {weights.source} OUTPUT.pth --to detectron2 --part "
        "backbone` takes it off"
    )


def _fill(model: nn.Module, state: Mapping[str, Tensor], fitting: Mapping[str, Tensor]) -> None:
    """Copies tensors, and nothing else.

    With the versions of the model's own layers, which a plain dict has not: without, Detectron2's
    and our FrozenBN take it for an old file, and make up the statistics that it lacks.
    """
    versioned = OrderedDict(fitting)
    versioned._metadata = getattr(state, "_metadata", None)  # pyright: ignore[reportAttributeAccessIssue]
    model.load_state_dict(versioned, strict=False)


def _check_numbers(state: Mapping[str, Tensor], tensors: Mapping[str, Tensor], source: str) -> None:
    whole = [
        name
        for name, value in tensors.items()
        if state[name].is_floating_point() and not value.is_floating_point()
    ]
    if whole:
        raise UserError(
            f"{source}: {len(whole)} tensors are of whole numbers where the model has fractions "
            f"({few(whole)}, {tensors[whole[0]].dtype}): quantised, whose scales are not known "
            "here; take the weights before that"
        )
    bad = [
        name
        for name, value in tensors.items()
        if value.is_floating_point() and not torch.isfinite(value).all()
    ]
    if bad:
        raise UserError(
            f"{source}: {len(bad)} tensors hold NaN or infinity ({few(bad)}): a run that "
            "diverged wrote it; take an earlier checkpoint"
        )
    negative = [
        name
        for name, value in tensors.items()
        if name.endswith("running_var") and bool((value.float() + NORM_EPS <= 0).any())
    ]
    if negative:
        raise UserError(
            f"{source}: {len(negative)} norms have a variance below 0 ({few(negative)}), with "
            "which outputs would be NaN: torn, or converted badly; take the file again"
        )
