"""Nested values as JSON and tensors, and back, without pickled code. Engine-neutral."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

_PLAIN = (type(None), bool, int, str)
_MAX_DEPTH = 50


@dataclass(frozen=True)
class Kind:
    """A class whose objects a tree may hold.

    Attributes:
        cls: the class; its name stands for it.
        take_apart: object -> its parts by name, each a tree.
        put_together: the parts -> an object.
    """

    cls: type
    take_apart: Callable[[Any], Mapping[str, Any]]
    put_together: Callable[[Mapping[str, Any]], Any]


def dataclass_kind(cls: type, *, left_out: Sequence[str] = ()) -> Kind:
    """Returns the kind of a data class, fields with defaults left out where asked."""
    assert is_dataclass(cls)
    names = [field.name for field in fields(cls) if field.name not in left_out]
    return Kind(
        cls,
        lambda value: {name: getattr(value, name) for name in names},
        lambda parts: cls(**_exactly(parts, names)),
    )


def encode(value: Any, kinds: Sequence[Kind], tensors: dict[str, Tensor], place: str = "") -> Any:
    """Returns JSON for a value; its tensors and arrays are added to `tensors` by their place.

    Args:
        value: None, booleans, numbers, text, tensors, arrays, lists, tuples, dicts with text or
            numbers as keys, and objects of the kinds.
        kinds: the classes that are known.
        tensors: is filled, on the CPU; places are like `0.gt_boxes`.
        place: of the value.

    Raises:
        TypeError: it holds something else; says where.
    """
    kind = next((kind for kind in kinds if type(value) is kind.cls), None)
    if kind is not None:
        parts = dict(kind.take_apart(value))
        return {"kind": kind.cls.__name__, "parts": encode(parts, kinds, tensors, place)}
    if isinstance(value, np.generic):
        value = value.item()
    if type(value) in _PLAIN:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"float": str(value)}
    if isinstance(value, Tensor | np.ndarray):
        name = place or "value"
        is_tensor = isinstance(value, Tensor)
        tensors[name] = _own(value if is_tensor else torch.from_numpy(np.array(value)))
        return {"tensor" if is_tensor else "array": name}
    if isinstance(value, list | tuple):
        items = [encode(v, kinds, tensors, _under(place, i)) for i, v in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if isinstance(value, Mapping) and all(isinstance(key, str | int) for key in value):
        pairs = [[k, encode(v, kinds, tensors, _under(place, k))] for k, v in value.items()]
        return {"dict": pairs}
    raise TypeError(f"{place or 'the batch'} is a {type(value).__name__}")


def decode(form: Any, kinds: Sequence[Kind], tensors: Mapping[str, Tensor], depth: int = 0) -> Any:
    """Returns the value that `encode` was given.

    Raises:
        ValueError, TypeError, KeyError or what a kind raises: the form is none that `encode`
            writes.
    """
    if depth > _MAX_DEPTH:
        raise ValueError("nested too deep")
    if type(form) in (*_PLAIN, float):
        return form
    if not isinstance(form, dict) or not form:
        raise ValueError(f"{type(form).__name__} stands where a value should")
    if form.keys() == {"kind", "parts"}:
        kind = {kind.cls.__name__: kind for kind in kinds}[form["kind"]]
        return kind.put_together(_dict(decode(form["parts"], kinds, tensors, depth + 1)))
    ((what, content),) = form.items()
    inner = depth + 1
    match what:
        case "float":
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[content]
        case "tensor":
            return tensors[content]
        case "array":
            return tensors[content].numpy()
        case "list":
            return [decode(item, kinds, tensors, inner) for item in content]
        case "tuple":
            return tuple(decode(item, kinds, tensors, inner) for item in content)
        case "dict":
            return {_key(key): decode(item, kinds, tensors, inner) for key, item in content}
    raise ValueError(f"{what!r} is no kind of value")


def not_finite(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, int]]:
    """Yields the places of the tensors that hold NaN or infinity, each with how many."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and (count := int((~torch.isfinite(tensor)).sum())):
            yield name, count


def _own(tensor: Tensor) -> Tensor:
    """A copy on the CPU: a file of tensors takes none that share their memory."""
    return tensor.detach().to("cpu", copy=True).contiguous()


def _under(place: str, name: object) -> str:
    return f"{place}.{name}" if place else str(name)


def _exactly(parts: Mapping[str, Any], names: Sequence[str]) -> Mapping[str, Any]:
    if set(parts) != set(names):
        raise ValueError(f"has the parts {sorted(parts)}, not {sorted(names)}")
    return parts


def _dict(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError("the parts of an object are no dict")
    return value


def _key(key: Any) -> str | int:
    if not isinstance(key, str | int):
        raise TypeError("a key is neither text nor a number")
    return key
