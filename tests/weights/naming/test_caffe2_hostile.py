"""Blobs under right names with wrong shapes and types: a clean answer or a clean refusal."""

import random

import pytest
import torch

from resnext_det.errors import UserError
from resnext_det.weights.content import FileContent
from resnext_det.weights.naming.registry import give_our_names
from resnext_det.weights.readers.state_dicts import PLAIN_TYPES
from tests.weights.caffe2_kinds import KINDS

SHAPES = ((), (0,), (1,), (3,), (0, 4), (2, 3), (1, 0, 3, 3), (4, 2, 3, 3), (2, 2, 2, 2, 2))
ENDS = ("_b", "_w", "_momentum", "_gn_s", "\n", "")
CFGS = (
    None,
    "",
    "MODEL: {}",
    "MODEL: {}\nRPN: {SIZES: [1, 2], ASPECT_RATIOS: [1]}",
    "MODEL: {}\nRPN: {SIZES: [], ASPECT_RATIOS: [1]}",
    "MODEL: {}\nRESNETS: {NUM_GROUPS: -1, STRIDE_1X1: maybe}\nMRCNN: 7",
    b"\xff\xfe",
    7,
)


@pytest.mark.parametrize("seed", range(60))
def test_it_ends_in_an_answer_or_a_refusal(seed):
    pick = random.Random(seed)
    blobs = dict(KINDS[pick.choice(list(KINDS))]().blobs)
    for name in pick.sample(sorted(blobs), 30):
        blobs[name] = torch.zeros(pick.choice(SHAPES)).to(pick.choice(PLAIN_TYPES))
    for name in pick.sample(sorted(blobs), 5):
        blobs[name + pick.choice(ENDS)] = torch.ones(2)
    content = FileContent("pickle", blobs, {"cfg": pick.choice(CFGS)})
    said = answer(content)
    assert said
    assert not any("\n" in line for line in said)


def answer(content):
    """The notes of a file that is taken, or why it is refused; any other error is the test's."""
    try:
        renamed = give_our_names(content, "X.pkl")
    except UserError as error:
        return [str(error)]
    return [*renamed.notes, str(len(renamed.state))]


def test_numbers_of_thousands_of_digits_are_no_numbers():
    blobs = KINDS["msra_r50"]().blobs
    long = f"res2_{'9' * 5000}_branch2a_w"
    with pytest.raises(UserError, match=r"^X.pkl: no plain ResNet"):
        give_our_names(FileContent("pickle", {**blobs, long: torch.ones(1)}), "X.pkl")
