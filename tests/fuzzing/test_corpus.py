"""The corpus of each harness, replayed without atheris, and the command that fuzzes."""

import importlib.util
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest

from resnext_det.errors import UserError
from tests.fuzzing.__main__ import main
from tests.fuzzing.harness import (
    CORPUS,
    ENDS,
    NAMES,
    Harness,
    Limits,
    corpus_of,
    harness_of,
    judge,
)
from tests.fuzzing.mutations import mutate_json

CAMPAIGN = Path(__file__).with_name("campaign.json")
FILES = [path for name in NAMES for path in corpus_of(name)]
MUTATIONS = 12


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_an_input_of_the_corpus_is_accepted_or_refused(path: Path) -> None:
    end = judge(harness_of(path.parent.name), path.read_bytes())
    assert end in (("accepted",) if path.name.startswith("seed_") else ENDS)


@pytest.mark.parametrize("name", NAMES)
def test_mutations_are_accepted_or_refused(name: str) -> None:
    harness, seeds = harness_of(name), [p.read_bytes() for p in corpus_of(name)]
    for number in range(MUTATIONS):
        draw = random.Random(f"{name} {number}")
        data = harness.mutate(draw, draw.choice(seeds))
        draw = random.Random(f"{name} {number}")
        assert data == harness.mutate(draw, draw.choice(seeds)), "not the same once more"
        assert judge(harness, data, thorough=False) in ENDS, data


def test_the_corpus_is_small() -> None:
    assert len(FILES) <= 60
    assert max(path.stat().st_size for path in FILES) < 10_000
    assert {path.name for path in CORPUS.iterdir()} == set(NAMES)


def test_mutations_keep_most_texts_json() -> None:
    data = json.dumps({"a": [1, 2.5, "x"], "b": {"c": None}}).encode()
    parsed = 0
    for number in range(200):
        try:
            json.loads(mutate_json(random.Random(number), data))
        except (ValueError, RecursionError):
            continue
        parsed += 1
    assert parsed > 160


def refuse(data: bytes, folder: Path, thorough: bool) -> None:
    raise UserError("no")


def fail(data: bytes, folder: Path, thorough: bool) -> None:
    raise KeyError("images")


def hang(data: bytes, folder: Path, thorough: bool) -> None:
    while True:
        pass


def grow(data: bytes, folder: Path, thorough: bool) -> None:
    bytearray(data) * (40 << 20)


@pytest.mark.parametrize(
    ("read", "end"),
    [
        (refuse, "refused"),
        (fail, "KeyError: 'images' (tests/fuzzing/test_corpus.py, fail, line"),
        (hang, "more than 0.2 s of processor time (tests/fuzzing/test_corpus.py, hang, line"),
    ],
    ids=["refusal", "exception", "hang"],
)
def test_every_end_is_told(read, end) -> None:
    limits = Limits(seconds=0.2)
    assert judge(Harness(read, mutate_json), b"x", limits).startswith(end)


def test_memory_of_one_input_is_told() -> None:
    # In a process of its own: what counts is by how much the most it ever took is raised.
    code = (
        "from tests.fuzzing.test_corpus import *\n"
        "print(judge(Harness(grow, mutate_json), b'x', Limits(memory=16)))\n"
        "print(judge(Harness(lambda *_: None, mutate_json), b'x', Limits(memory=16)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CORPUS.parents[2], capture_output=True, text=True
    )
    assert done.stdout.splitlines() == ["more than 16 MiB of memory", "accepted"], done.stderr


def test_without_atheris_one_line_says_how_to_get_it(monkeypatch, capsys) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["fuzzing", "configs", "--seconds", "1"])
    assert main() == 2
    assert capsys.readouterr().err == (
        "error: fuzzing needs atheris: pip install -e '.[fuzz]' -c constraints.txt\n"
    )


def test_the_committed_campaign_covers_every_harness_and_found_nothing() -> None:
    report = json.loads(CAMPAIGN.read_text())
    rows = {row["harness"]: row for row in report["harnesses"]}
    assert set(rows) == set(NAMES)
    assert "--seconds 450" in report["command"]
    for row in rows.values():
        assert row["findings"] == []
        assert row["failed"] == 0
        assert row["accepted"] + row["refused"] == row["executions"] > 0
        assert row["seconds"] >= 445
        assert row["edges"] >= row["edges_of_corpus"] > 0
