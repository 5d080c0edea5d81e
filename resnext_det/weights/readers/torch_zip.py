"""The zip form of torch.save: an archive of stored records. Engine-neutral.

ROOT/data.pkl is the pickle, ROOT/data/KEY a storage's bytes, ROOT/byteorder their order; ROOT is
any name. torch compresses nothing, so that nothing here can grow: what is read is not larger than
the file (torch/serialization.py, caffe2/serialize/inline_container.cc).
"""

import struct
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any

import torch
from torch import Tensor

from resnext_det.errors import UserError
from resnext_det.inert_pickle.machine import read_inert_pickle
from resnext_det.inert_pickle.tensors import StorageRef
from resnext_det.inert_pickle.vocabulary import Budget
from resnext_det.inert_pickle.weights import WeightsVocabulary
from resnext_det.weights.readers.bounded_files import BoundedFile
from resnext_det.weights.readers.damage import CHANGED, damaged

_LARGEST_DIRECTORY = 4 << 20  # bytes of the table of records: 40,000 of torch's
_HEADER = struct.Struct("<4s22xHH")  # a record's own header: its mark, and two lengths
_CHUNK = 1 << 22


class TorchArchive:
    """An open archive.

    Args:
        file: the file, open.
        source: its path, for messages.

    Raises:
        UserError: it is damaged, compressed, or of something else.
    """

    def __init__(self, file: IO[bytes], source: str) -> None:
        self._source = source
        bounded = BoundedFile(file, most=_LARGEST_DIRECTORY)
        with self._damage():
            self._zip = zipfile.ZipFile(bounded)  # type: ignore[arg-type]
            self.records = {entry.filename: entry for entry in self._zip.infolist()}
        bounded.most = None
        self._file = bounded
        self.root = self._find_root()
        self._check_records()
        self.big_endian = self._order() == b"big"

    def load_pickle(self) -> tuple[Any, tuple[str, ...]]:
        """Returns what data.pkl is about, and the classes that were passed over."""
        data = self._content(f"{self.root}/data.pkl")
        vocabulary = WeightsVocabulary(Budget(len(data)), outside=True)
        content = read_inert_pickle(data, f"{self._source}: data.pkl", vocabulary)
        return content, tuple(sorted(vocabulary.ignored))

    def read(self, storage: StorageRef, itemsize: int) -> Tensor:
        """Reads a storage's bytes, as uint8, in this machine's order."""
        name = f"{self.root}/data/{storage.key}"
        entry = self.records.get(name)
        if entry is None:
            raise damaged(self._source, f"it has no record {name[:120]}")
        unit = 1 if storage.type == "untyped" else itemsize
        if entry.file_size // unit != storage.length:
            has = f"{name[:120]} has {entry.file_size:,} bytes"
            raise damaged(self._source, f"{has} for {storage.length:,} numbers of {unit}")
        raw = torch.empty(entry.file_size, dtype=torch.uint8)
        view, place = raw.numpy().data, 0
        with self._damage(name), self._zip.open(entry) as record:  # its end checks the CRC
            while chunk := record.read(_CHUNK):
                view[place : place + len(chunk)] = chunk
                place += len(chunk)
        if self.big_endian and unit > 1:
            raw = raw[: place // unit * unit].view(-1, unit).flip(1).reshape(-1)
        return raw

    def _content(self, name: str) -> bytes:
        with self._damage(name):
            return self._zip.read(self.records[name])

    def _order(self) -> bytes:
        name = f"{self.root}/byteorder"
        order = self._content(name) if name in self.records else b"little"
        if order not in (b"little", b"big"):
            raise damaged(self._source, f"byteorder is {order[:20]!r}")
        return order

    def _find_root(self) -> str:
        roots = [name[:-9] for name in self.records if name.endswith("/data.pkl")]
        roots = [root for root in roots if "/" not in root]
        if len(roots) != 1:
            count = "several" if roots else "no"
            raise UserError(
                f"{self._source}: a zip archive, but with {count} data.pkl of torch.save; give the "
                "weights file in it, or save a state_dict() alone"
            )
        if f"{roots[0]}/constants.pkl" in self.records:
            raise UserError(
                f"{self._source}: a TorchScript archive, whose code is not run; "
                "save the state_dict() alone"
            )
        return roots[0]

    def _check_records(self) -> None:
        """Checks that each record stands in the file once, alone and as it is."""
        if len(self.records) != len(self._zip.infolist()):
            raise damaged(self._source, "a record's name comes twice")
        end = 0
        for entry in sorted(self.records.values(), key=lambda entry: entry.header_offset):
            if flaw := self._flaw(entry, end):
                raise damaged(self._source, f"the record {entry.filename[:120]} {flaw}")
            end = self._file.tell() + entry.file_size

    def _flaw(self, entry: zipfile.ZipInfo, end: int) -> str:
        """Says what is wrong with a record; else leaves the file where its bytes begin.

        Args:
            entry: of the record.
            end: of the one before it.
        """
        if entry.compress_type != zipfile.ZIP_STORED or entry.flag_bits & 1:
            return "is compressed or encrypted, which torch.save never does"
        if entry.compress_size != entry.file_size:
            return f"claims {entry.file_size:,} bytes but stores others"
        if entry.header_offset < end:
            return "overlaps another"
        self._file.seek(max(entry.header_offset, 0))
        header = self._file.read(_HEADER.size)
        if len(header) < _HEADER.size or header[:4] != b"PK\x03\x04":
            return "is not where the archive says"
        _, name_length, extra_length = _HEADER.unpack(header)
        start = entry.header_offset + _HEADER.size + name_length + extra_length
        if start + entry.file_size > self._zip.start_dir:  # where the table of records begins
            return f"claims {entry.file_size:,} bytes: cut off"
        self._file.seek(start)
        return ""

    @contextmanager
    def _damage(self, record: str = "") -> Iterator[None]:
        """Says in one line that the table, or a record, cannot be read.

        What zipfile says of it is of no help to a person, and damage makes it fail in any way.
        """
        try:
            yield
        except UserError as error:
            raise damaged(self._source, str(error)) from error
        except Exception as error:
            which = f"its record {record[:120]} was " if record else ""
            raise damaged(self._source, which + CHANGED) from error
