"""Pickles read as data: nothing that a file names is imported or called. Engine-neutral.

A pickle is a program for a small stack machine, and `pickle.load` runs it, with any function of
any installed module. Here `pickletools` decodes the opcodes, which executes nothing, and only
those that build plain data are carried out. Every other opcode is refused, by its name: those that
import (INST, EXT…), construct (OBJ) or ask somebody else (PERSID). GLOBAL, REDUCE, BUILD, NEWOBJ
and BINPERSID are answered by a `Vocabulary`, which knows a few names, and calls none of them.
"""

import pickletools
import sys
from collections.abc import Callable, Mapping
from typing import Any, Protocol, cast

from resnext_det.errors import UserError, one_line
from resnext_det.inert_pickle.arrays import ArraysVocabulary, PendingArray
from resnext_det.inert_pickle.keys import ATOMS, add_pairs, check_key
from resnext_det.inert_pickle.vocabulary import Budget, Refused, Vocabulary, shown

_LARGEST_INTEGER_BITS = 2048
_MOST_OPCODES = 10_000_000  # half a minute; a checkpoint of a thousand tensors has 50,000
_LONGEST_NAME = 400  # of a module, or of what is in it
_MOST_PLACES = 1 << 32  # of the memo; larger numbers can be chosen so that all have one hash
_SIZED = (list, dict, set, frozenset, tuple, int)
_MARK = object()


class Stream(Protocol):
    """An open file, or what reads like one."""

    def read(self, count: int = -1, /) -> bytes:
        """Reads at most `count` bytes, and takes no more memory than there are."""
        ...

    def readline(self) -> bytes:
        """Reads a line."""
        ...


def read_inert_pickle(data: bytes | Stream, name: str, vocabulary: Vocabulary | None = None) -> Any:
    """Reads a pickle of plain data.

    Args:
        data: the file, or a stream, which is left behind the pickle's end.
        name: what messages call it.
        vocabulary: what names stand for, made for this one pickle; by default arrays alone, and
            then the data are bytes.

    Returns:
        Dictionaries, lists, tuples, sets, str, int, float, bool, None, bytes and the vocabulary's
        leaves, such as NumPy arrays of numbers. Python 2's strings are bytes, as
        `pickle.load(…, encoding="bytes")` has them, unless the vocabulary has them as text.

    Raises:
        UserError: it is no pickle, cut off, or wants more than plain data; what it wants is named.
    """
    try:
        if vocabulary is None:
            assert isinstance(data, bytes), "a stream comes with its vocabulary"
            vocabulary = ArraysVocabulary(Budget(len(data)))
        machine = _Machine(vocabulary)
        for count, (opcode, argument, _) in enumerate(pickletools.genops(cast(Any, data))):
            if count > _MOST_OPCODES:
                raise Refused(f"not plain data: more than {_MOST_OPCODES:,} opcodes are refused")
            machine.step(opcode.name, argument)
        return machine.result()
    except Refused as error:
        raise UserError(one_line(f"{name}: {error}")) from error
    # pickletools raises whatever the damage makes it stumble on; so does an empty stack.
    except Exception as error:
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise UserError(one_line(f"{name}: not a pickle, or damaged ({reason})")) from error


class _Machine:
    """The stack and the memo, and what an opcode does to them."""

    def __init__(self, vocabulary: Vocabulary) -> None:
        self.vocabulary = vocabulary
        self.spend = vocabulary.budget.spend
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def step(self, opcode: str, argument: Any) -> None:
        """Carries out an opcode."""
        if opcode in _STRINGS:
            self.push(argument if self.vocabulary.text_strings else _bytes(argument))
        elif opcode in _PUSHES:
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
        _check_plain(value, self.vocabulary)
        return value

    def push(self, value: Any) -> None:
        """Puts a new value on the stack."""
        # The content of texts and bytes stands in the file, that of arrays is paid as a copy.
        self.spend(8 + sys.getsizeof(value) if isinstance(value, _SIZED) else 128)
        self.stack.append(value)

    def recall(self, value: Any) -> None:
        """Puts a value that exists on the stack once more."""
        self.spend(8)
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
        if not 0 <= number < _MOST_PLACES:
            raise Refused(f"damaged: place {str(number)[:40]} of the memo")
        self.spend(96)  # of a dictionary's entry
        value = self.memo[number] = self.top()
        if isinstance(value, PendingArray):
            value.memo.append(number)

    def import_name(self, argument: Any) -> None:
        """Puts what stands for a name on the stack."""
        if argument is None:
            module, name = self.take(2)
            for part in (module, name):  # from the memo, so that a few bytes give long ones
                if type(part) is not str or len(part) > _LONGEST_NAME:
                    what = f"'{part[:80]}…'" if type(part) is str else shown(part)
                    raise Refused(f"not plain data: STACK_GLOBAL names {what}, which is no name")
            self.push(self.vocabulary.name(module, name, "STACK_GLOBAL"))
            return
        module, _, name = argument.partition(" ")
        self.push(self.vocabulary.name(module, name, "GLOBAL"))

    def reduce(self) -> None:
        """Has the vocabulary do what a known function would do with its arguments."""
        function, arguments = self.take(2)
        self.push(self.vocabulary.call(function, arguments))

    def build(self) -> None:
        """Has the vocabulary give an object its state."""
        target, state = self.take(2)
        built = self.vocabulary.build(target, state)
        if isinstance(target, PendingArray):
            self.memo.update(dict.fromkeys(target.memo, built))
            target.memo.clear()  # another BUILD of the same finds nothing to do
        self.recall(built)

    def new(self, opcode: str) -> None:
        """Has the vocabulary make an object, from its class and what follows it."""
        kind, *_ = self.take(3 if opcode == "NEWOBJ_EX" else 2)
        self.push(self.vocabulary.new(kind, opcode))

    def extend(self, values: list[Any], kind: type, opcode: str) -> None:
        """Adds values to the list, the dictionary or the set on the stack."""
        target = self.top()
        if self.vocabulary.takes_anything(target):
            return
        if not isinstance(target, kind):
            raise Refused(f"not plain data: {opcode} to {shown(target)} is refused")
        self.spend((16 if kind is list else 96) * len(values))
        if isinstance(target, list):
            target.extend(values)
        elif isinstance(target, set):
            target.update(map(check_key, values))
        else:
            add_pairs(target, values)


def _dictionary(values: list[Any]) -> dict[Any, Any]:
    target: dict[Any, Any] = {}
    add_pairs(target, values)
    return target


def _check_plain(value: Any, vocabulary: Vocabulary) -> None:
    """Checks that nothing is left of what stood for names and unfinished arrays."""
    waiting, seen = [value], set()
    while waiting:
        item = waiting.pop()
        if isinstance(item, (*ATOMS, *vocabulary.leaves)) or id(item) in seen:
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


def _integer(argument: int) -> int:
    # Longer ones take time at every use: printed, multiplied, hashed.
    if argument.bit_length() > _LARGEST_INTEGER_BITS:
        raise Refused(f"not plain data: an integer of {argument.bit_length():,} bits is refused")
    return argument


_STRINGS = frozenset(("STRING", "BINSTRING", "SHORT_BINSTRING"))
_PUSHES: Mapping[str, Callable[[Any], Any]] = {
    **dict.fromkeys(("BINBYTES", "SHORT_BINBYTES", "BINBYTES8"), _same),
    **dict.fromkeys(("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"), _same),
    **dict.fromkeys(("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4"), _integer),
    **dict.fromkeys(("FLOAT", "BINFLOAT"), _same),
    "NONE": lambda _: None,
    "NEWTRUE": lambda _: True,
    "NEWFALSE": lambda _: False,
    "EMPTY_LIST": lambda _: [],
    "EMPTY_DICT": lambda _: {},
    "EMPTY_SET": lambda _: set(),
    "EMPTY_TUPLE": lambda _: (),
    "BYTEARRAY8": lambda argument: bytes(argument),
    "MARK": lambda _: _MARK,
}
_Action = Callable[[_Machine, Any], object]
_ACTIONS: Mapping[str, _Action] = {
    "POP": lambda machine, _: machine.stack.pop(),  # a mark, too
    "POP_MARK": lambda machine, _: machine.since_mark(),
    "DUP": lambda machine, _: machine.recall(machine.top()),
    **dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.remember),
    "MEMOIZE": lambda machine, _: machine.remember(len(machine.memo)),
    **dict.fromkeys(
        ("GET", "BINGET", "LONG_BINGET"),
        lambda machine, number: machine.recall(machine.memo[number]),
    ),
    "LIST": lambda machine, _: machine.push(machine.since_mark()),
    "DICT": lambda machine, _: machine.push(_dictionary(machine.since_mark())),
    "FROZENSET": lambda machine, _: machine.push(frozenset(map(check_key, machine.since_mark()))),
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
    "NEWOBJ": lambda machine, _: machine.new("NEWOBJ"),
    "NEWOBJ_EX": lambda machine, _: machine.new("NEWOBJ_EX"),
    "BINPERSID": lambda machine, _: machine.push(machine.vocabulary.persistent(machine.pop())),
}
