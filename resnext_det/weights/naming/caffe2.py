"""Files of Detectron and Detectron2's converted backbones, with Caffe2's names. Engine-neutral."""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from resnext_det.errors import few, one_line
from resnext_det.weights.content import FileContent
from resnext_det.weights.naming.base import Naming, Renamed, UnknownNames
from resnext_det.weights.naming.caffe2_convention import backbone_convention, detector_convention
from resnext_det.weights.naming.caffe2_heads import rearrange_rows
from resnext_det.weights.naming.caffe2_names import (
    is_caffe2s,
    is_idle_bias,
    is_of_body,
    is_of_solver,
    rename_blob,
)
from resnext_det.weights.naming.detectron_cfg import DetectronCfg, read_cfg
from resnext_det.weights.side_car import SideCar

FROZEN_EPS = 1e-5  # of FrozenBN, here and in Detectron2; Caffe2 trained with it, too
_LEGACY = (
    "a detector of Detectron: its boxes had a width of x2 - x1 + 1, its anchors were rounded and "
    "its RoIAlign shifted by half a pixel, so results here differ from its published ones"
)


def recognises(content: FileContent) -> bool:
    """Tells a file by the convolutions of its blocks."""
    return any(is_caffe2s(blob) for blob in content.tensors)


def to_ours(content: FileContent) -> Renamed:
    """Renames the blobs of a backbone or of a whole detector.

    Args:
        content: blobs, with Detectron's `cfg` (YAML text) in the extras of a whole detector.

    Returns:
        Tensors by Detectron2's names without the prefix of a meta-architecture, which
        `match_names` finds in a model by their ends. BatchNorm folded into scale and bias gets the
        statistics that make FrozenBN the identity before them.

    Raises:
        UnknownNames: the stem or a stage has a blob that a plain ResNet or ResNeXt has not, or two
            blobs are one tensor here.
    """
    cfg = _cfg_of(content)
    notes: list[str] = []
    state = _rename(content.tensors, cfg or DetectronCfg(), notes)
    norm = _norm_of(content.tensors)
    if cfg:
        convention, why = detector_convention(state, cfg)
        notes += [why, _LEGACY]
    else:
        convention, why = backbone_convention(state, norm)
        notes.append(why)
    if norm == "affine":
        notes.append(f"{_fill_statistics(state)} norms are scale and bias alone: for FrozenBN only")
    eps = FROZEN_EPS if norm in ("BN", "affine") else None
    side_car = SideCar(naming="caffe2", convention=convention, norm=norm, norm_eps=eps)
    return Renamed(state, side_car, tuple(dict.fromkeys(notes)))


def _cfg_of(content: FileContent) -> DetectronCfg | None:
    text = content.extras.get("cfg")
    if isinstance(text, bytes):
        text = text.decode("latin-1")
    return read_cfg(text) if isinstance(text, str) else None


def _rename(blobs: Mapping[str, Tensor], cfg: DetectronCfg, notes: list[str]) -> dict[str, Tensor]:
    keys = {blob: rename_blob(blob) for blob in blobs if not is_of_solver(blob)}
    idle = [blob for blob in keys if is_idle_bias(blob)]
    notes += [line for blob in idle for line in _note_of_bias(blob, blobs[blob])]
    _account_for([b for b, key in keys.items() if key is None and b not in idle], notes)
    state: dict[str, Tensor] = {}
    for blob, key in keys.items():
        if key is None or blob in idle:
            continue
        if key in state:
            raise UnknownNames(f"{blob}, which is a second {key}")
        rows, note = rearrange_rows(key, blobs[blob], cfg)
        notes += [note] if note else []
        if rows is not None:
            state[key] = rows
    return state


def _account_for(nameless: list[str], notes: list[str]) -> None:
    of_body = [blob for blob in nameless if is_of_body(blob)]
    if of_body:
        raise UnknownNames(_few(of_body))
    if nameless:
        notes.append(f"{len(nameless)} blobs left out, of no part known here ({_few(nameless)})")


def _note_of_bias(blob: str, value: Tensor) -> list[str]:
    """Detectron2 leaves such a bias out, too, in silence."""
    if value.numel() == 0 or not value.double().any():
        return []
    most = float(value.double().abs().max())
    return [f"{blob}, up to {most:.2g}, left out: convolutions before a norm have no bias"]


def _norm_of(blobs: Iterable[str]) -> str:
    """The backbone's; a head's GroupNorm does not count."""
    of_body = [blob for blob in blobs if is_of_body(blob)]
    if any(blob.endswith(("_running_var", "_riv")) for blob in of_body):
        return "BN"
    if any("_gn_" in blob for blob in of_body):
        return "GN"
    return "affine" if any("_bn_" in blob for blob in of_body) else ""


def _fill_statistics(state: dict[str, Tensor]) -> int:
    """Adds mean 0 and variance 1 - eps, in place; returns for how many norms.

    With these FrozenBN is x * scale + bias, as the file means it. Detectron2's checkpointer fills
    in a variance of 1, which leaves a factor of 1 / sqrt(1 + 1e-5), 5e-6 less, at every norm.
    """
    scales = [key for key in state if key.startswith(("res", "stem")) and ".norm.weight" in key]
    for key in scales:
        prefix = key.removesuffix("weight")
        # float32 beside half precision, too, which would round the variance to 1.
        mean = torch.zeros(state[key].shape)
        state[f"{prefix}running_mean"] = mean
        state[f"{prefix}running_var"] = torch.full_like(mean, 1 - FROZEN_EPS)
    return len(scales)


def _few(names: list[str]) -> str:
    return few([one_line(name[:80]) for name in names])


CAFFE2 = Naming(name="caffe2", recognises=recognises, to_ours=to_ours)
