"""Bring a value from YAML or the command line to its key's type, or say why not. Engine-neutral."""

import ast
from typing import Any

from resnext_det.config.plain_yaml import NotPlainYAMLError, read_plain_yaml
from resnext_det.errors import UserError

# Detectron2 reads null here as "no value of its own: as SOLVER.WEIGHT_DECAY".
NULLABLE = frozenset({"SOLVER.WEIGHT_DECAY_BIAS", "SOLVER.WEIGHT_DECAY_NORM"})

_LARGEST = 2**63
_ITEMS = (str, bool, int, float, list, type(None))


def coerce(value: Any, default: Any, *, key: str, where: str) -> Any:
    """Check a value against the default of its key.

    What is converted: text that spells a value of another type, as YAML reads `1e-4` and
    `(60000, 80000)` and the command line reads everything; whole numbers for a float;
    tuples to lists. Nothing else, so 0 is no bool and 1.5 no int.

    Args:
        value: as parsed.
        default: the key's default; its type is the key's type.
        key: dotted key, for the message.
        where: the file, or "command line", for the message.

    Raises:
        UserError: another type than the default's; names where, key and both types.
    """
    if key in NULLABLE:
        default = 0.0
    if isinstance(value, str):
        value = _unquote(value) if isinstance(default, str) else parse_text(value)
    if value is None and key in NULLABLE:
        return None
    value = _plain(value, key=key, where=where)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if isinstance(default, (list, tuple)) and isinstance(value, (list, tuple)):
        return _coerce_items(value, default, key=key, where=where)
    if type(value) is not type(default):
        raise UserError(_mismatch(value, default, key=key, where=where))
    return value


def _coerce_items(value: Any, default: Any, *, key: str, where: str) -> list[Any]:
    """A list, its items checked against the default's first item where there is one."""
    if not default:
        return value
    items = []
    for item in value:
        item = parse_text(item) if isinstance(item, str) and _is_number(default[0]) else item
        if _is_number(item) and _is_number(default[0]):
            items.append(item)  # 32 and 32.5 are both good anchor sizes
        else:
            items.append(coerce(item, default[0], key=f"an item of {key}", where=where))
    return items


def _plain(value: Any, *, key: str, where: str) -> Any:
    """A value with lists for its tuples, and nothing in them that YAML could not write back.

    Raises:
        UserError: a whole number beyond 64 bits, or an item such as 1j.
    """
    if isinstance(value, int) and not -_LARGEST <= value < _LARGEST:
        raise UserError(f"{where}: {key} has a whole number beyond 64 bits")
    if not isinstance(value, (list, tuple)):
        return value
    items = [_plain(item, key=key, where=where) for item in value]
    for item in items:
        if not isinstance(item, _ITEMS):
            raise UserError(f"{where}: an item of {key} is a {type(item).__name__}")
    return items


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def parse_text(text: str) -> Any:
    """The value that a text spells in Python's or YAML's way; else the text itself."""
    try:
        return ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        pass
    try:
        return read_plain_yaml(text)
    except NotPlainYAMLError:
        return text


def _unquote(text: str) -> str:
    """Text without the quotes that a shell leaves in, as in `KEY '"value"'`."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        parsed = parse_text(text)
        return parsed if isinstance(parsed, str) else text
    return text


def _mismatch(value: Any, default: Any, *, key: str, where: str) -> str:
    want, got = type(default).__name__, type(value).__name__
    got_words = "nothing" if value is None else f"the {got} {value!r}"
    article = "an" if want == "int" else "a"
    message = f"{where}: {key} is {article} {want} (such as {default!r}), got {got_words}"
    if isinstance(default, (list, tuple)) and isinstance(value, (str, int, float)):
        message += f"; write [{value!r}]"
    if isinstance(default, str) and isinstance(value, bool):
        message += "; put quotes around the word"
    return message
