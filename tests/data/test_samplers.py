"""The order of images: exact about epochs, and computable at any iteration. Engine-neutral."""

from collections import Counter
from itertools import chain, islice

import numpy as np
import pytest

from resnext_det.data.samplers import OPEN_BLOCKS, BatchPlan, aspect_groups, rank_chunk
from resnext_det.errors import UserError


def indices(plan: BatchPlan, start: int, stop: int) -> list[list[int]]:
    return [[key.index for key in batch] for batch in plan.batches(start, stop)]


def streamed_grouping(plan: BatchPlan, groups: np.ndarray, epochs: int) -> list[list[int]]:
    """Groups as Detectron2 does: waiting rows, filled in the order of the stream."""
    rows: dict[int, list[int]] = {}
    batches = []
    for epoch in range(epochs):
        for index in plan._permutation(epoch).tolist():
            row = rows.setdefault(int(groups[index]), [])
            row.append(index)
            if len(row) == plan.batch_size:
                batches.append(row[:])
                row.clear()
    return batches


def test_every_epoch_holds_every_image_once() -> None:
    stream = list(chain(*indices(BatchPlan(10, 4, seed=1), 0, 50)))
    epochs = [stream[i : i + 10] for i in range(0, 200, 10)]
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 20


@pytest.mark.parametrize(
    ("num_images", "batch_size", "tall"),
    [(10, 4, 3), (37, 8, 11), (9, 2, 0), (9, 2, 9), (5, 8, 2), (3, 16, 1), (1, 1, 0), (64, 8, 32)],
)
def test_grouping_equals_waiting_rows(num_images: int, batch_size: int, tall: int) -> None:
    groups = np.array([1] * tall + [0] * (num_images - tall))
    plan = BatchPlan(num_images, batch_size, seed=5, groups=groups)
    expected = streamed_grouping(plan, groups, epochs=60)
    assert indices(plan, 0, len(expected)) == expected
    # Backwards, and from nothing: no iteration depends on another having been asked for.
    for iteration in reversed(range(0, len(expected), 3)):
        fresh = BatchPlan(num_images, batch_size, seed=5, groups=groups)
        assert indices(fresh, iteration, iteration + 1) == [expected[iteration]]


def test_grouped_batches_hold_one_group_and_leave_no_image_out() -> None:
    groups = np.arange(23) % 3 == 0
    plan = BatchPlan(23, 4, seed=2, groups=groups.astype(int))
    batches = indices(plan, 0, 230)
    assert all(len({bool(groups[i]) for i in batch}) == 1 for batch in batches)
    counts = Counter(chain(*batches))
    # 230 batches of 4 are 40 epochs; at most 3 images per group and epoch still wait.
    assert set(counts) == set(range(23))
    assert max(counts.values()) - min(counts.values()) <= 1


def test_any_start_continues_the_same_run() -> None:
    groups = [0, 1, 1, 0, 1, 0, 0]
    whole = list(BatchPlan(7, 2, seed=9, groups=groups).batches(0, 40))
    late = list(BatchPlan(7, 2, seed=9, groups=groups).batches(23, 40))
    assert late == whole[23:]
    assert [key.iteration for key in late[0]] == [23, 23]


BLOCKS = [7, 1, 30, 12] * 10
"""Sizes of 40 blocks, 500 images in all."""


def test_every_epoch_holds_every_image_of_all_blocks_once() -> None:
    stream = list(chain(*indices(BatchPlan(500, 4, seed=1, blocks=BLOCKS), 0, 500)))
    epochs = [stream[i : i + 500] for i in range(0, 2000, 500)]
    assert all(sorted(epoch) == list(range(500)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_few_blocks_are_open_at_a_time_and_each_for_as_long() -> None:
    """A block is open from its first image in an epoch to its last."""
    sizes = [50] * 60
    block_of = np.repeat(np.arange(60), 50)
    plan = BatchPlan(3000, 100, seed=2, blocks=sizes)
    for epoch in range(3):
        order = block_of[list(chain(*indices(plan, 30 * epoch, 30 * epoch + 30)))]
        spans = [np.flatnonzero(order == block)[[0, -1]] for block in range(60)]
        open_at = [sum(first <= place <= last for first, last in spans) for place in range(3000)]
        assert max(open_at) <= OPEN_BLOCKS + 1
        # Not block by block: in the middle of an epoch neighbours are of other blocks.
        middle = order[1000:2000]
        assert (middle[1:] == middle[:-1]).mean() < 2 / OPEN_BLOCKS
        assert len(set(order[:50].tolist())) > 1


def test_blocks_come_in_another_order_each_epoch() -> None:
    block_of = np.repeat(np.arange(60), 50)
    plan = BatchPlan(3000, 100, seed=2, blocks=[50] * 60)
    firsts = [list(dict.fromkeys(block_of[plan._permutation(epoch)])) for epoch in range(3)]
    assert all(sorted(order) == list(range(60)) for order in firsts)
    assert firsts[0] != firsts[1] != firsts[2]


def test_any_start_continues_the_same_run_over_blocks() -> None:
    whole = list(BatchPlan(500, 8, seed=9, blocks=BLOCKS).batches(0, 200))
    late = list(BatchPlan(500, 8, seed=9, blocks=BLOCKS).batches(123, 200))
    assert late == whole[123:]
    shares = [list(BatchPlan(500, 8, seed=9, blocks=BLOCKS).batches(0, 5, r, 2)) for r in (0, 1)]
    assert [a + b for a, b in zip(*shares, strict=True)] == whole[:5]


def test_one_block_is_shuffled_whole() -> None:
    order = list(chain(*indices(BatchPlan(500, 4, seed=1, blocks=[500]), 0, 125)))
    assert sorted(order) == list(range(500))
    assert abs(np.corrcoef(order, range(500))[0, 1]) < 0.2


def test_blocks_of_a_large_set_are_quick() -> None:
    plan = BatchPlan(1_281_167, 256, seed=0, blocks=[1000] * 1281 + [167])
    assert len(plan.batch(450_000)) == 256


def test_ranks_share_the_batch_of_one_gpu() -> None:
    plan = BatchPlan(11, 6, seed=0)
    parts = [list(plan.batches(3, 9, rank, 3)) for rank in range(3)]
    joined = [list(chain(*shares)) for shares in zip(*parts, strict=True)]
    assert joined == list(plan.batches(3, 9))
    assert [key.position for key in joined[0]] == list(range(6))


def test_indivisible_batch_is_named() -> None:
    with pytest.raises(UserError, match=r"SOLVER.IMS_PER_BATCH 6 .* 4 GPUs"):
        next(BatchPlan(11, 6, seed=0).batches(0, 1, 0, 4))


def test_seeds_differ_and_the_plan_is_endless() -> None:
    assert indices(BatchPlan(50, 5, seed=0), 0, 3) != indices(BatchPlan(50, 5, seed=1), 0, 3)
    assert len(list(islice(BatchPlan(2, 1, 0).batches(10**9, 10**9 + 3), 3))) == 3
    assert list(BatchPlan(2, 1, 0).batches(5, 5)) == []


def test_late_iterations_of_a_large_set_are_quick() -> None:
    groups = np.arange(118_000) % 4 == 0
    plan = BatchPlan(118_000, 16, seed=0, groups=groups.astype(int))
    assert len(plan.batch(270_000)) == 16


def test_square_images_count_as_tall() -> None:
    # Detectron2's AspectRatioGroupedDataset: landscape is width > height.
    assert aspect_groups([4, 3, 2], [3, 3, 3]).tolist() == [0, 1, 1]


@pytest.mark.parametrize(("total", "world"), [(10, 3), (2, 4), (0, 2), (7, 1)])
def test_chunks_cover_everything_in_order(total: int, world: int) -> None:
    chunks = [list(rank_chunk(total, rank, world)) for rank in range(world)]
    assert list(chain(*chunks)) == list(range(total))
    assert max(map(len, chunks)) - min(map(len, chunks)) <= 1
