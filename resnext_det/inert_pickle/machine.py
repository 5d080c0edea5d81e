"""Old pickles read as data: nothing that a file names is imported or called. Engine-neutral.

A pickle is a program for a small stack machine, and `pickle.load` runs it, with any function of
any installed module. Here `pickletools` decodes the opcodes, which executes nothing, and only
those that build plain data are carried out. Every other opcode is refused, by its name: those that
import (INST, EXT…), construct (OBJ, NEWOBJ, …) or ask somebody else (PERSID, …). GLOBAL and REDUCE
know the few names of `arrays`, and call none of them.
"""

import pickletools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from resnext_det.errors import UserError
from resnext_det.inert_pickle.arrays import (
    PendingArray,
    PendingType,
    Refused,
    build_array,
    call,
    known_name,
    set_order,
    shown,
)

LARGEST_STACK = 1 << 22
"""Values on the stack, and in the memo: CIFAR's largest file has about 150,000."""

_MARK = object()
_ATOMS = (str, bytes, int, float, bool, type(None))


def read_inert_pickle(data: bytes, name: str) -> Any:
    """Reads a pickle of plain data.

    Args:
        data: the file.
        name: what messages call it.

    Returns:
        Dictionaries, lists, tuples, sets, str, int, float, bool, None, NumPy arrays of numbers, and
        bytes: Python 2's strings are bytes, too, as `pickle.load(…, encoding="bytes")` has them.

    Raises:
        UserError: it is no pickle, cut off, or wants more than plain data; what it wants is named.
    """
    machine = _Machine()
    try:
        for opcode, argument, _ in pickletools.genops(data):
            machine.step(opcode.name, argument)
        return machine.result()
    except Refused as error:
        raise UserError(f"{name}: {error}") from error
    # pickletools raises whatever the damage makes it stumble on; so does an empty stack.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(f"{name}: not a pickle, or damaged ({reason})") from error


class _Machine:
    """The stack and the memo, and what an opcode does to them."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Carries out an opcode."""
        if opcode in _PUSHES:
            self.push(_PUSHES[opcode](argument))
        elif opcode in _ACTIONS:
            _ACTIONS[opcode](self, argument)
        elif opcode not in ("PROTO", "FRAME", "STOP"):
            of = f" of '{str(argument)[:80]}'" if argument is not None else ""
            raise Refused(f"not plain data: {opcode}{of} is refused")

    def result(self) -> Any:
        """Returns what the file is about."""
        value = self.pop()
        if self.stack:
            raise Refused("damaged: more than one value at the end")
        _check_plain(value)
        return value

    def push(self, value: Any) -> None:
        """Puts a value on the stack."""
        if len(self.stack) >= LARGEST_STACK:
            raise Refused("more values than a file of plain data has")
        self.stack.append(value)

    def pop(self) -> Any:
        """Takes the top value."""
        value = self.top()
        del self.stack[-1]
        return value

    def top(self) -> Any:
        """Returns the top value."""
        if not self.stack or self.stack[-1] is _MARK:
            raise Refused("damaged: no value where one should be")
        return self.stack[-1]

    def since_mark(self) -> list[Any]:
        """Takes the values above the last mark, and the mark."""
        for place in range(len(self.stack) - 1, -1, -1):
            if self.stack[place] is _MARK:
                values = self.stack[place + 1 :]
                del self.stack[place:]
                return values
        raise Refused("damaged: no mark")

    def take(self, count: int) -> list[Any]:
        """Takes the top values, the lowest of them first."""
        return [self.pop() for _ in range(count)][::-1]

    def remember(self, number: int) -> None:
        """Puts the top value into the memo."""
        if len(self.memo) >= LARGEST_STACK:
            raise Refused("more values than a file of plain data has")
        value = self.memo[number] = self.top()
        if isinstance(value, PendingArray):
            value.memo.append(number)

    def import_name(self, argument: Any) -> None:
        """Puts what stands for a name on the stack."""
        if argument is None:
            module, name = self.take(2)
            self.push(known_name(module, name, "STACK_GLOBAL"))
            return
        module, _, name = argument.partition(" ")
        self.push(known_name(module, name, "GLOBAL"))

    def reduce(self) -> None:
        """Does what a known function would do with its arguments."""
        function, arguments = self.take(2)
        self.push(call(function, arguments))

    def build(self) -> None:
        """Gives an array its content, or a data type its byte order."""
        target, state = self.take(2)
        if isinstance(target, PendingType):
            set_order(target, state)
        elif isinstance(target, PendingArray):
            pending, target = target, build_array(state)
            self.memo.update(dict.fromkeys(pending.memo, target))
        else:
            raise Refused(f"not plain data: BUILD of {shown(target)} is refused")
        self.push(target)

    def extend(self, values: list[Any], kind: type, opcode: str) -> None:
        """Adds values to the list, the dictionary or the set on the stack."""
        target = self.top()
        if type(target) is not kind:
            raise Refused(f"not plain data: {opcode} to {shown(target)} is refused")
        if kind is list:
            target.extend(values)
        elif kind is set:
            target.update(map(_key, values))
        else:
            target.update(_pairs(values))


def _key(value: Any) -> Any:
    """Lets only atoms be keys: a tuple that holds one tuple many times over takes ages to hash."""
    if not isinstance(value, _ATOMS):
        raise Refused(f"not plain data: {shown(value)} as a key is refused")
    return value


def _pairs(values: list[Any]) -> dict[Any, Any]:
    return dict(zip(map(_key, values[::2]), values[1::2], strict=True))


def _check_plain(value: Any) -> None:
    """Checks that nothing is left of what stood for names and unfinished arrays."""
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, (*_ATOMS, np.ndarray)) or id(item) in seen:
            continue
        seen.add(id(item))
        if not isinstance(item, (list, tuple, dict, set, frozenset)):
            raise Refused(f"not plain data: {shown(item)} is left")
        waiting.extend(item.values() if isinstance(item, dict) else item)


def _bytes(argument: Any) -> bytes:
    """Python 2's strings; pickletools decodes them."""
    return argument.encode("latin-1") if isinstance(argument, str) else argument


def _same(argument: Any) -> Any:
    return argument


_PUSHES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("STRING", "BINSTRING", "SHORT_BINSTRING"), _bytes),
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _same),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _same),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _same),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _same),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_DICT": lambda _: {},
    "EMPTY_SET": lambda _: set(),
    "EMPTY_TUPLE": lambda _: (),
    "MARK": lambda _: _MARK,
}
_Action = Callable[[_Machine, Any], object]
_ACTIONS: Mapping[str, _Action] = {
    "POP": lambda machine, _: machine.stack.pop(),  # a mark, too
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": lambda machine, _: machine.push(machine.top()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"),
        lambda machine, number: machine.push(machine.memo[number]),
    ),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "DICT": lambda machine, _: machine.push(_pairs(machine.since_mark())),
    "FROZENSET": lambda machine, _: machine.push(frozenset(map(_key, machine.since_mark()))),
    "TUPLE": lambda machine, _: machine.push(tuple(machine.since_mark())),
    "TUPLE1": lambda machine, _: machine.push(tuple(machine.take(1))),
    "TUPLE2": lambda machine, _: machine.push(tuple(machine.take(2))),
    "TUPLE3": lambda machine, _: machine.push(tuple(machine.take(3))),
    "APPEND": lambda machine, _: machine.extend(machine.take(1), list, "APPEND"),
    "APPENDS": lambda machine, _: machine.extend(machine.since_mark(), list, "APPENDS"),
    "SETITEM": lambda machine, _: machine.extend(machine.take(2), dict, "SETITEM"),
    "SETITEMS": lambda machine, _: machine.extend(machine.since_mark(), dict, "SETITEMS"),
    "ADDITEMS": lambda machine, _: machine.extend(machine.since_mark(), set, "ADDITEMS"),
    "GLOBAL": _Machine.import_name,
    "STACK_GLOBAL": _Machine.import_name,
    "REDUCE": lambda machine, _: machine.reduce(),
    "BUILD": lambda machine, _: machine.build(),
}
