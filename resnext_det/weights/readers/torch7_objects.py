"""What a Torch7 file's objects become here: inert, named, never executed. Engine-neutral."""

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

Key = str | int | float


class Table(dict[Key, Any]):
    """A Lua table: its strings and numbers as keys, whole numbers as int.

    Attributes:
        others: pairs whose keys are booleans, tables, tensors or objects.
    """

    __slots__ = ("others",)

    def __init__(self) -> None:
        super().__init__()
        self.others: list[tuple[Any, Any]] = []

    def __repr__(self) -> str:
        return f"Table of {len(self) + len(self.others)}"  # it may contain itself


@dataclass(eq=False, slots=True)
class TorchObject:
    """An object of a Torch class: a module of nn, say; its class is not known here.

    Attributes:
        class_name: "nn.Sequential".
        version: of the class, 0 where the file is older than versions.
        fields: by name.
    """

    class_name: str
    version: int
    fields: Table = field(default_factory=Table)

    def __repr__(self) -> str:
        return self.class_name  # its fields may contain it


@dataclass(frozen=True, eq=False, slots=True)
class Storage:
    """The memory that tensors are views of.

    Attributes:
        element: a key of `torch7_stream.ELEMENTS`.
        data: (size,), of that type.
    """

    element: str
    data: Tensor


class LuaFunction:
    """Stands where a function was; its bytecode is passed over."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Lua function"
