"""Filling a model with weights, and an account of what was filled. Engine-neutral."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from resnext_det.errors import UserError
from resnext_det.weights.architecture import infer_architecture
from resnext_det.weights.naming.detectron2 import is_backbone_key
from resnext_det.weights.sources import Weights

_COUNTER = "num_batches_tracked"  # a counter of BatchNorm's, no weight
_OFFSET = ".conv2_offset."  # of deformable convolutions: new in a detector, where they start at 0


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor; names are the model's, for `unexpected` the file's.

    Attributes:
        source: path or address of the weights.
        loaded: filled from the file.
        missing: of the model, not in the file: they keep their initial values.
        unexpected: of the file, not in the model.
        mismatched: in both with different shapes: they keep their initial values.
        share_tensors: tensors loaded, of all in the model, 0 … 1.
        share_params: numbers loaded, of all in the model, 0 … 1.
        backbone_share: numbers loaded of the stem and the stages, 0 … 1; offsets of deformable
            convolutions do not count.
    """

    source: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    share_tensors: float
    share_params: float
    backbone_share: float

    def __str__(self) -> str:
        first = (
            f"{self.source}: {len(self.loaded)} tensors loaded, {self.share_tensors:.1%} of the "
            f"model's tensors and {self.share_params:.1%} of its parameters"
        )
        parts = [first]
        for kind in ("missing", "unexpected", "mismatched"):
            names = getattr(self, kind)
            parts.append(f"{len(names)} {kind}{f' ({_few(names)})' if names else ''}")
        return "; ".join(parts)


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
        UserError: the file is of another architecture, fills less than `min_share` of
            the backbone, holds numbers that are not finite, or one of its names fits several
            of the model's.
    """
    state = model.state_dict()
    pairs = match_names(state, weights.state, weights.source)
    fitting = {name: weights.state[key] for name, key in pairs.items()}
    mismatched = [name for name, value in fitting.items() if value.shape != state[name].shape]
    for name in mismatched:
        del fitting[name]
    report = _account(state, weights, pairs, set(fitting), mismatched)
    _judge(state, weights, report, min_share)
    _check_finite(fitting, weights.source)
    model.load_state_dict(fitting, strict=False)
    logging.getLogger(__name__).info("%s", report)
    return report


def match_names(
    model_state: Mapping[str, Tensor], file_state: Mapping[str, Tensor], source: str
) -> dict[str, str]:
    """Returns name in the model -> name in the file, by the longest common ending.

    Raises:
        UserError: a name of the file would fill two of the model's.

    Source: the rule is that of detectron2/checkpoint/c2_model_loading.py.
    """
    pairs: dict[str, str] = {}
    taken: dict[str, str] = {}
    for name in model_state:
        key = _longest_ending(name, file_state)
        if key is None:
            continue
        if key in taken:
            raise UserError(f"{source}: {key} fits both {taken[key]} and {name} of the model")
        pairs[name] = key
        taken[key] = name
    return pairs


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
            f"in it or have another shape ({_few(lacking)}): give the weights of a whole trained "
            "model with the same classes"
        )
    left_out = [name for name in report.unexpected if is_backbone_key(name)]
    if left_out:
        raise UserError(
            f"{report.source}: cannot be evaluated, {len(left_out)} tensors of its backbone have "
            f"no place in the model ({_few(left_out)}): does MODEL.RESNETS say what it was "
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
            f"{weights.source} was trained on the classes {_few(weights.class_names, 5)} "
            f"({len(weights.class_names)}), but {data} has {_few(class_names, 5)} "
            f"({len(class_names)}){_first_difference(weights.class_names, class_names)}"
        )


def _first_difference(theirs: tuple[str, ...], ours: tuple[str, ...]) -> str:
    pairs = enumerate(zip(theirs, ours, strict=False))
    differing = ((number, *pair) for number, pair in pairs if pair[0] != pair[1])
    return next((f"; class {n} is '{a}' there and '{b}' here" for n, a, b in differing), "")


def _longest_ending(name: str, keys: Mapping[str, Tensor]) -> str | None:
    ending = name
    while ending not in keys:
        _, dot, ending = ending.partition(".")
        if not dot:
            return None
    return ending


def _account(
    state: Mapping[str, Tensor],
    weights: Weights,
    pairs: Mapping[str, str],
    loaded: set[str],
    mismatched: list[str],
) -> LoadReport:
    counted = {name: value.numel() for name, value in state.items() if not name.endswith(_COUNTER)}
    backbone = {
        name: n for name, n in counted.items() if is_backbone_key(name) and _OFFSET not in name
    }
    used = set(pairs.values())
    return LoadReport(
        source=weights.source,
        loaded=tuple(name for name in counted if name in loaded),
        missing=tuple(name for name in counted if name not in pairs),
        unexpected=tuple(k for k in weights.state if k not in used and not k.endswith(_COUNTER)),
        mismatched=tuple(mismatched),
        share_tensors=_share(dict.fromkeys(counted, 1), loaded),
        share_params=_share(counted, loaded),
        backbone_share=_share(backbone, loaded),
    )


def _share(sizes: Mapping[str, int], loaded: set[str]) -> float:
    total = sum(sizes.values())
    return sum(n for name, n in sizes.items() if name in loaded) / total if total else 1.0


def _judge(
    state: Mapping[str, Tensor], weights: Weights, report: LoadReport, min_share: float
) -> None:
    if min_share <= 0:
        return
    theirs, ours = infer_architecture(weights.state), infer_architecture(state)
    # Asked first: 64x4d fits all of 32x8d but its 3x3 convolutions, 88 % of the numbers.
    if theirs and ours and not theirs.fits(ours):
        raise UserError(
            f"{weights.source} is {theirs}, the config says {ours}: set MODEL.RESNETS to the "
            "file's, or name other weights"
        )
    if report.backbone_share < min_share:
        raise UserError(
            f"{weights.source} fills {report.backbone_share:.1%} of the backbone's parameters, "
            f"less than MODEL.WEIGHTS_MIN_SHARE ({min_share:.0%}): missing "
            f"{_few(report.missing) or 'none'}; of another shape "
            f"{_few(report.mismatched) or 'none'}"
        )


def _check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    bad = [
        name
        for name, value in tensors.items()
        if value.is_floating_point() and not torch.isfinite(value).all()
    ]
    if bad:
        raise UserError(
            f"{source}: {len(bad)} tensors hold NaN or infinity ({_few(bad)}): a run that "
            "diverged wrote it; take an earlier checkpoint"
        )


def _few(names: tuple[str, ...] | list[str], number: int = 3) -> str:
    return ", ".join(names[:number]) + (" …" if len(names) > number else "")
