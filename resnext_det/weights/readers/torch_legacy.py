"""The form of torch.save before the archive: five pickles, then raw numbers. Engine-neutral.

The pickles are a magic number, the protocol, the system, the object, and the storages' keys; then
each storage in the keys' order, as its length (int64, little-endian) and its numbers
(torch/serialization.py, _legacy_save).
"""

import struct
from typing import IO, Any

import torch
from torch import Tensor

from resnext_det.inert_pickle.machine import read_inert_pickle
from resnext_det.inert_pickle.tensors import StorageRef
from resnext_det.inert_pickle.vocabulary import Budget, Vocabulary
from resnext_det.inert_pickle.weights import WeightsVocabulary
from resnext_det.weights.readers.bounded_files import BoundedFile
from resnext_det.weights.readers.damage import damaged

MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_LENGTH = struct.Struct("<q")
_CHUNK = 1 << 22


def looks_like_legacy(first_bytes: bytes) -> bool:
    """Tells whether a file begins with the magic number, in any protocol."""
    head = first_bytes[:40]
    return MAGIC.to_bytes(10, "little") in head or str(MAGIC).encode() in head


class LegacyFile:
    """An open file of the old form.

    Args:
        file: the file, open.
        source: its path, for messages.

    Raises:
        UserError: it is damaged, or holds more than data.
    """

    def __init__(self, file: IO[bytes], source: str) -> None:
        self._source = source
        self._file = BoundedFile(file)
        if self._plain("magic number") != MAGIC or self._plain("protocol") != _PROTOCOL:
            raise damaged(source, "another magic number or protocol than torch.save's")
        self._plain("system")
        vocabulary = WeightsVocabulary(Budget(self._file.size), outside=True)
        self.content: Any = read_inert_pickle(self._file, f"{source}: object", vocabulary)
        self.ignored = tuple(sorted(vocabulary.ignored))
        self._sizes = {key: _itemsize(kind) for key, kind in vocabulary.storages.items()}
        self._places = self._find_storages(self._plain("storage keys"))

    def read(self, storage: StorageRef, itemsize: int) -> Tensor:
        """Reads a storage's bytes, as uint8."""
        if storage.key not in self._places:
            raise damaged(self._source, f"no storage {storage.key[:80]}")
        place, length, unit = self._places[storage.key]
        if length != storage.length or (storage.type != "untyped" and unit != itemsize):
            numbers = f"{length:,} numbers of {unit} bytes, not {storage.length:,} of {itemsize}"
            raise damaged(self._source, f"the storage {storage.key[:80]} has {numbers}")
        raw = torch.empty(length * unit, dtype=torch.uint8)
        view = raw.numpy().data
        self._file.seek(place)
        for start in range(0, len(view), _CHUNK):
            chunk = self._file.read(min(_CHUNK, len(view) - start))
            view[start : start + len(chunk)] = chunk
        return raw

    def _plain(self, what: str) -> Any:
        vocabulary = _PlainText(Budget(self._file.size))
        return read_inert_pickle(self._file, f"{self._source}: {what}", vocabulary)

    def _find_storages(self, keys: Any) -> dict[str, tuple[int, int, int]]:
        """Returns key -> place of the numbers, how many, bytes of each."""
        if type(keys) is not list or not all(type(key) in (str, int) for key in keys):
            raise damaged(self._source, "the storage keys are no list of names")
        places: dict[str, tuple[int, int, int]] = {}
        for key in map(str, keys):
            what = f"the storage {key[:80]}"
            if key in places or key not in self._sizes:
                comes = "twice" if key in places else "without a tensor"
                raise damaged(self._source, f"{what} comes {comes}")
            head = self._file.read(_LENGTH.size)
            if len(head) < _LENGTH.size:
                raise damaged(self._source, f"{what} is cut off")
            (length,) = _LENGTH.unpack(head)
            place, unit = self._file.tell(), self._sizes[key]
            if not 0 <= length * unit <= self._file.size - place:
                raise damaged(self._source, f"{what} claims {length:,} numbers: cut off")
            places[key] = place, length, unit
            self._file.seek(place + length * unit)
        return places


class _PlainText(Vocabulary):
    """Knows no name at all."""

    text_strings = True


def _itemsize(kind: str) -> int:
    return 1 if kind == "untyped" else getattr(torch, kind).itemsize
