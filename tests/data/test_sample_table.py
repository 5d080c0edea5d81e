"""The table of a set's images: joined, written, mapped and checked. Engine-neutral."""

import numpy as np
import pytest

from resnext_det.data.sample_table import (
    SampleTable,
    check_table,
    join_tables,
    make_table,
    open_table,
    table_bytes,
)
from resnext_det.errors import UserError

ROWS = [("a/0.jpg", 512, 7, 2), ("ä.png", 2048, 0, 0), ("b.webp", 4096, 99, 1)]


def table_of(rows) -> SampleTable:
    return make_table(*([row[column] for row in rows] for column in range(4)))


def rows_of(table: SampleTable):
    columns = (table.offsets.tolist(), table.lengths.tolist(), table.labels.tolist())
    names = [table.name(index) for index in range(len(table))]
    return list(zip(names, *columns, strict=True))


@pytest.mark.parametrize("cut", [0, 1, 3])
def test_joined_tables_are_the_whole(cut):
    joined = join_tables([table_of(ROWS[:cut]), table_of(ROWS[cut:])])
    assert rows_of(joined) == ROWS
    assert table_bytes(joined) == table_bytes(table_of(ROWS))


def test_a_table_comes_back_from_its_file_unread(tmp_path):
    (tmp_path / "t.npz").write_bytes(table_bytes(table_of(ROWS)))
    table = open_table(tmp_path / "t.npz")
    assert rows_of(table) == ROWS
    assert isinstance(table.offsets, np.memmap)


def test_an_empty_table_comes_back(tmp_path):
    (tmp_path / "t.npz").write_bytes(table_bytes(table_of([])))
    table = open_table(tmp_path / "t.npz")
    assert len(table) == 0
    check_table(table, tmp_path, [], [], 0)


def test_a_sound_table_passes(tmp_path):
    check_table(table_of(ROWS), tmp_path, [519, 4195], [1, 2], 3)


@pytest.mark.parametrize(
    ("sizes", "samples", "classes", "fault"),
    [
        ([519, 4195], [1, 1], 3, "holds 3 images, but the index counts 2"),
        ([518, 4195], [1, 2], 3, "image 0 lies outside its shard"),
        ([519, 4194], [1, 2], 3, "image 2 lies outside its shard"),
        ([519, 4195], [1, 2], 2, "image 0 has no such class"),
    ],
)
def test_a_table_that_does_not_fit_is_named(tmp_path, sizes, samples, classes, fault):
    with pytest.raises(UserError, match=fault):
        check_table(table_of(ROWS), tmp_path, sizes, samples, classes)


def test_an_image_of_a_gigabyte_is_refused(tmp_path):
    table = table_of([("a.jpg", 512, 1 << 30, 0)])
    with pytest.raises(UserError, match="image 0 is larger than 256 MiB"):
        check_table(table, tmp_path, [1 << 31], [1], 1)
