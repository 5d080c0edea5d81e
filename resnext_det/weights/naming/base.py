"""A table of names: it recognises, renames, and tells what names imply. Engine-neutral."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor

from resnext_det.weights.content import FileContent
from resnext_det.weights.side_car import SideCar


class UnknownNames(ValueError):
    """A file that is recognised has names that a plain ResNet or ResNeXt does not have."""


@dataclass(frozen=True)
class Renamed:
    """Tensors by our names, and what their old names tell.

    Attributes:
        state: our name -> tensor; not copied where that can be helped.
        side_car: what the naming alone implies, such as the convention.
        notes: one line each for the log, on what was moved or left out.
    """

    state: dict[str, Tensor]
    side_car: SideCar = field(default_factory=SideCar)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Naming:
    """One source's names.

    Attributes:
        name: "torchvision", "mmpretrain", …, as side-cars and messages have it.
        recognises: tells whether a file has these names; it never raises.
        to_ours: renames; raises UnknownNames where the file has more than a plain ResNet or
            ResNeXt.
        from_ours: renames a classifier's or a backbone's state back, for writing; None where
            nothing is written under these names. Raises UnknownNames, too.
    """

    name: str
    recognises: Callable[[FileContent], bool]
    to_ours: Callable[[FileContent], Renamed]
    from_ours: Callable[[Mapping[str, Tensor]], dict[str, Tensor]] | None = None
