"""What a pickle's names stand for: the part of the machine that its user provides. Engine-neutral.

A vocabulary answers the opcodes that name, call or construct something. It imports and calls
nothing of what a file names: it knows a few names, and does itself what little they are needed for.
"""

from dataclasses import dataclass
from typing import Any

_OBJECTS_BASE = 16 << 20
_OBJECTS_PER_BYTE = 32  # the shortest opcodes: one byte for a tuple of 64
_OBJECTS_MOST = 512 << 20  # no weights file has so many small things; CIFAR needs 8 MB
_COPIES_BASE = 1 << 20
_COPIES_PER_BYTE = 4  # text that is encoded, then an array, with some to spare


class Refused(Exception):
    """What a file asks for and does not get."""


@dataclass(frozen=True)
class Name:
    """A known name, on the stack in place of what it means."""

    text: str


class Budget:
    """The memory that a pickle may take, from the size of its file.

    A few bytes of a pickle can ask for a copy of all that came before; each pays here first.

    Attributes:
        file_bytes: size of the file.
    """

    def __init__(self, file_bytes: int) -> None:
        self.file_bytes = file_bytes
        self._objects = min(_OBJECTS_BASE + _OBJECTS_PER_BYTE * file_bytes, _OBJECTS_MOST)
        self._copies = _COPIES_BASE + _COPIES_PER_BYTE * file_bytes

    def spend(self, count: int) -> None:
        """Pays for objects.

        Args:
            count: bytes that they take, about.

        Raises:
            Refused: nothing is left.
        """
        self._objects -= count
        if self._objects < 0:
            raise self._spent()

    def copy(self, count: int) -> None:
        """Pays for a copy of `count` bytes of the file's content.

        Raises:
            Refused: nothing is left.
        """
        self._copies -= count
        if self._copies < 0:
            raise self._spent()

    def _spent(self) -> Refused:
        return Refused(f"damaged: it wants more memory than {self.file_bytes:,} bytes should need")


class Vocabulary:
    """Knows no name: plain data alone. Others extend it.

    Attributes:
        leaves: types, beside atoms and containers, that a result may have.
        text_strings: whether Python 2's strings are text (latin-1) or bytes.
    """

    leaves: tuple[type, ...] = ()
    text_strings = False

    def __init__(self, budget: Budget) -> None:
        self.budget = budget

    def name(self, module: Any, name: Any, opcode: str) -> Any:
        """Answers GLOBAL and STACK_GLOBAL: what stands for a name on the stack.

        Raises:
            Refused: it is not known.
        """
        text = f"{str(module)[:80]}.{str(name)[:80]}"
        raise Refused(f"not plain data: {opcode} names '{text[:80]}', which is not imported")

    def call(self, function: Any, arguments: Any) -> Any:
        """Answers REDUCE: does what a known function would do.

        Raises:
            Refused: it is none, or wants more than plain data.
        """
        raise Refused(f"not plain data: REDUCE of {shown(function)} is refused")

    def new(self, kind: Any, opcode: str) -> Any:
        """Answers NEWOBJ and NEWOBJ_EX, whose arguments nobody here needs.

        Raises:
            Refused: nothing is constructed.
        """
        raise Refused(f"not plain data: {opcode} is refused: of {shown(kind)}")

    def build(self, target: Any, state: Any) -> Any:
        """Answers BUILD: returns the target in its state, the same object or another.

        Raises:
            Refused: it takes no state.
        """
        raise Refused(f"not plain data: BUILD of {shown(target)} is refused")

    def persistent(self, number: Any) -> Any:
        """Answers BINPERSID: what a number or a tuple outside the pickle stands for.

        Raises:
            Refused: nothing is outside.
        """
        raise Refused("not plain data: BINPERSID is refused")

    def takes_anything(self, target: Any) -> bool:
        """Tells whether what is added to an object is passed over with it."""
        return False


def shown_sizes(sizes: Any) -> str:
    """Returns what messages call a shape: its integers, and of all else the type alone.

    A tuple that holds one tuple many times over has a text of gigabytes.
    """
    parts = sizes[:16] if type(sizes) in (tuple, list) else ()
    return str(tuple(part if type(part) is int else type(part).__name__ for part in parts))[:80]


def shown(value: Any) -> str:
    """Returns what messages call a value."""
    return f"'{value.text}'" if hasattr(value, "text") else f"a {type(value).__name__}"
