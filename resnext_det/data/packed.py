"""A read-only list that worker processes can share. Engine-neutral."""

import pickle
from collections.abc import Iterable
from typing import Generic, TypeVar

import numpy as np

Item = TypeVar("Item")


class PackedList(Generic[Item]):
    """Holds items as one block of bytes.

    A list of a hundred thousand Python objects is copied, page by page, into every worker
    that only reads it, because reading changes reference counts. One block is not.
    """

    def __init__(self, items: Iterable[Item]) -> None:
        """Packs the items; they are unpacked one at a time when asked for."""
        chunks = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
        self._ends = np.cumsum([len(chunk) for chunk in chunks], dtype=np.int64)
        self._bytes = np.frombuffer(b"".join(chunks), dtype=np.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Item:
        if not 0 <= index < len(self):
            raise IndexError(index)
        start = 0 if index == 0 else int(self._ends[index - 1])
        # The bytes are our own, made above in this process or its parent.
        return pickle.loads(self._bytes[start : self._ends[index]].data)
