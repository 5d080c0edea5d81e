"""What became of each tensor when weights were loaded. Engine-neutral."""

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from resnext_det.errors import few
from resnext_det.weights.naming.detectron2 import is_backbone_key

_COUNTER = "num_batches_tracked"  # a counter of BatchNorm's, no weight
_OFFSET = ".conv2_offset."  # of deformable convolutions: new in a detector, where they start at 0
_KINDS = ("missing", "unexpected", "mismatched")


@dataclass(frozen=True)
class LoadReport:
    """What became of each tensor; names are the model's, for `unexpected` the file's.

    Attributes:
        source: path or address of the weights.
        licence: an SPDX identifier, empty where it is not known.
        loaded: filled from the file.
        missing: of the model, not in the file: they keep their initial values.
        unexpected: of the file, not in the model.
        mismatched: in both with different shapes: they keep their initial values.
        params: numbers in the tensors of each of those four, the model's, for `unexpected` the
            file's; statistics of norms count.
        share_tensors: tensors loaded, of all in the model, 0 … 1.
        share_params: numbers loaded, of all in the model, 0 … 1.
        backbone_share: numbers loaded of the stem and the stages, 0 … 1; offsets of deformable
            convolutions do not count.
    """

    source: str
    licence: str
    loaded: tuple[str, ...]
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    mismatched: tuple[str, ...]
    params: Mapping[str, int]
    share_tensors: float
    share_params: float
    backbone_share: float

    def __str__(self) -> str:
        first = (
            f"{self.source}: {len(self.loaded)} tensors of {self.params['loaded']:,} parameters "
            f"loaded, {_percent(self.share_tensors)} of the model's tensors and "
            f"{_percent(self.share_params)} of its parameters, {_percent(self.backbone_share)} of "
            "its backbone's"
        )
        parts = [first]
        for kind in _KINDS:
            names = getattr(self, kind)
            what = f" ({few(names)}) of {self.params[kind]:,} parameters" if names else ""
            parts.append(f"{len(names)} {kind}{what}")
        return "; ".join([*parts, f"licence: {self.licence or 'not known'}"])

    def as_dict(self) -> dict[str, Any]:
        """Returns the counts for JSON: tensors and parameters of each kind, and the shares."""
        counts = {
            kind: {"tensors": len(getattr(self, kind)), "parameters": self.params[kind]}
            for kind in ("loaded", *_KINDS)
        }
        shares = {
            "tensors": round(self.share_tensors, 6),
            "parameters": round(self.share_params, 6),
            "backbone": round(self.backbone_share, 6),
        }
        return {**counts, "share": shares}


def make_report(
    model_state: Mapping[str, Tensor],
    file_state: Mapping[str, Tensor],
    pairs: Mapping[str, str],
    *,
    source: str,
    licence: str = "",
) -> LoadReport:
    """Accounts for every tensor of a model and of a file, before anything is filled.

    Args:
        model_state: name -> tensor.
        file_state: likewise.
        pairs: name in the model -> name in the file, from `match_names`.
        source: path or address of the weights.
        licence: of the weights.
    """
    sizes = {n: value.numel() for n, value in model_state.items() if not n.endswith(_COUNTER)}
    differ = {n for n, key in pairs.items() if model_state[n].shape != file_state[key].shape}
    loaded = {name for name in sizes if name in pairs and name not in differ}
    used = set(pairs.values())
    left = {k: v.numel() for k, v in file_state.items() if k not in used}
    unexpected = {k: n for k, n in left.items() if not k.endswith(_COUNTER)}
    names = {
        "loaded": [name for name in sizes if name in loaded],
        "missing": [name for name in sizes if name not in pairs],
        "mismatched": [name for name in sizes if name in differ],
        "unexpected": list(unexpected),
    }
    backbone = {n: s for n, s in sizes.items() if is_backbone_key(n) and _OFFSET not in n}
    return LoadReport(
        source=source,
        licence=licence,
        **{kind: tuple(found) for kind, found in names.items()},
        params={kind: sum((sizes | unexpected)[n] for n in found) for kind, found in names.items()},
        share_tensors=_share(dict.fromkeys(sizes, 1), loaded),
        share_params=_share(sizes, loaded),
        backbone_share=_share(backbone, loaded),
    )


def _percent(share: float) -> str:
    """Rounds down: 100.0% is said of all alone."""
    return f"{math.floor(share * 1000) / 10:.1f}%"


def _share(sizes: Mapping[str, int], loaded: Collection[str]) -> float:
    total = sum(sizes.values())
    return sum(n for name, n in sizes.items() if name in loaded) / total if total else 1.0
