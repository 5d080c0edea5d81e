"""What stands beside the tensors of a checkpoint, as data that anyone may walk. Engine-neutral."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from resnext_det.inert_pickle.keys import ATOMS

_DEEPEST = 24
_MOST = 500_000  # values, of all entries together
_KINDS = (list, tuple, set, frozenset)
_LEFT_OUT = object()


def plain_extras(entries: Mapping[Any, Any]) -> dict[str, Any]:
    """Returns copies of a checkpoint's entries that are plain data, under the names that are text.

    Tensors and objects are left out, wherever they stand: an optimizer's, passed-over classes'. So
    is an entry that is nested deeper than any config, that holds itself, or that a few shared
    lists blow up into millions of values.
    """
    walk = _Walk()
    result = {}
    for key, value in entries.items():
        if not isinstance(key, str):
            continue
        try:
            plain = walk.copy(value, 0)
        except RecursionError:
            continue
        if plain is not _LEFT_OUT:
            result[key] = plain
    return result


class _Walk:
    """Copies trees, and counts what it has copied."""

    def __init__(self) -> None:
        self.left = _MOST

    def copy(self, value: Any, depth: int) -> Any:
        self.left -= 1
        if depth > _DEEPEST or self.left < 0:
            raise RecursionError
        if isinstance(value, (*ATOMS, np.ndarray)):
            return value
        if isinstance(value, Mapping):
            copies = ((key, self.copy(item, depth + 1)) for key, item in value.items())
            return {key: item for key, item in copies if item is not _LEFT_OUT}
        if isinstance(value, _KINDS):
            items = [
                copied for item in value if (copied := self.copy(item, depth + 1)) is not _LEFT_OUT
            ]
            return next(kind for kind in _KINDS if isinstance(value, kind))(items)
        return _LEFT_OUT
