"""What is known of weights beside their numbers. Engine-neutral.

It stands in a safetensors file's own header, or in a JSON file beside a .pth; loading sets the
config from it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from resnext_det.weights.convention import Convention

FROM_SCRATCH = "trained from scratch"
"""The origin of weights that a run of ours began from nobody else's."""


@dataclass(frozen=True)
class SideCar:
    """What is known of weights; a field that is empty or None is not known.

    Attributes:
        origin: where they come from: a name such as `torchvision://…`, an address, or a file.
        naming: whose names the file that they came from had: "torchvision", "caffe2", …
        architecture: name of the variant, or numbers as `Architecture` prints them.
        convention: pixel order, mean, std, and where the stages stride.
        norm: "BN"; "affine": BatchNorm folded into scale and bias, for FrozenBN alone; "GN".
        norm_eps: added to the variances in training.
        class_names: of the head, in its order.
        licence: an SPDX identifier ("BSD-3-Clause", "CC-BY-NC-4.0").
        accuracy: as published, in percent: {"top1": 77.618} or {"AP": 43.0}.
        sha256: of the tensors beside it, as `side_car_files.digest_of` has it: says which
            weights this side-car is of.
        origin_sha256: of the file that they were converted from.
        outputs: what `weights verify` compares with: see `reference`.
    """

    origin: str = ""
    naming: str = ""
    architecture: str = ""
    convention: Convention | None = None
    norm: str = ""
    norm_eps: float | None = None
    class_names: tuple[str, ...] = ()
    licence: str = ""
    accuracy: Mapping[str, float] = field(default_factory=dict)
    sha256: str = ""
    origin_sha256: str = ""
    outputs: Mapping[str, Any] = field(default_factory=dict)

    def over(self, other: "SideCar") -> "SideCar":
        """Returns this one, with the other's values where this knows none."""
        unknown = {
            f.name: getattr(other, f.name)
            for f in fields(self)
            if getattr(self, f.name) in ("", None, (), {})
        }
        return replace(self, **unknown)


def path_beside(path: Path) -> Path:
    """Returns where the side-car of a .pth or .pkl file stands."""
    return path.with_name(f"{path.name}.json")
