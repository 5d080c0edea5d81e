"""Where jobs run: cores and GPUs."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from projects.studies.jobs import Job, command
from projects.studies.places import Place, choose_places, cpu_places, gpu_places
from projects.studies.running.runner import run_jobs
from resnext_det.errors import UserError

STAND_IN = Path(__file__).with_name("stand_in.py")


def chosen(*options: object, visible: str = "", count: int = 0) -> list[tuple[str, ...]]:
    environment = {"CUDA_VISIBLE_DEVICES": visible} if visible else {}
    places = choose_places(*options, environment=environment, count=count)
    return [place.devices for place in places]


def test_each_gpu_is_a_place() -> None:
    assert chosen(count=3) == [("0",), ("1",), ("2",)]
    assert chosen(None, "2, 0", count=3) == [("2",), ("0",)]
    assert chosen(None, None, 2, count=4) == [("0", "1"), ("2", "3")]


def test_jobs_are_dealt_out_to_the_gpus_in_turn() -> None:
    assert chosen(3, count=2) == [("0",), ("1",), ("0",)]
    assert chosen(1, count=2) == [("0",)]


def test_gpus_are_among_those_that_a_scheduler_left_visible() -> None:
    assert chosen(None, "1", visible="4,GPU-5", count=2) == [("GPU-5",)]
    assert chosen(visible="4,6", count=2) == [("4",), ("6",)]


def test_without_gpus_or_with_none_of_them_jobs_get_a_core() -> None:
    assert chosen(3) == [()] * 3
    assert chosen(3, "none", count=2) == [()] * 3
    assert len(chosen()) in (1, 2)


@pytest.mark.parametrize(
    ("options", "count", "message"),
    [
        ((None, "0,3"), 2, r"--gpus 0,3: torch finds only 2, from 0 on here, so none of number 3"),
        ((None, "0"), 0, "--gpus 0: torch finds no GPU here, so none of number 0"),
        ((None, "0,0"), 2, "names a GPU twice; --jobs says how many run at a time"),
        ((None, "all"), 2, "--gpus all: it must be numbers, as in 0,1, or none"),
        ((None, ""), 2, "it must be numbers"),
        ((None, None, 2), 3, "--gpus-per-run 2: 3 GPUs cannot be dealt out so"),
        ((None, None, 2), 0, "--gpus-per-run 2: no GPU to run on"),
        ((None, None, 0), 2, "--gpus-per-run 0: it must be 1 or more"),
        ((0,), 0, "--jobs 0: it must be 1 or more"),
        ((-1,), 2, "--jobs -1: it must be 1 or more"),
    ],
    ids=str,
)
def test_options_that_do_not_fit_are_named(options: tuple, count: int, message: str) -> None:
    with pytest.raises(UserError, match=message):
        choose_places(*options, environment={}, count=count)


def test_a_job_on_gpus_sees_its_own_alone_and_has_all_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    jobs = [
        Job(name, tmp_path / name, ("--config-file", mode, "O", str(tmp_path / name)), 40, name)
        for name, mode in (("a", "meets b"), ("b", "meets a"), ("c", "good"))
    ]
    run_jobs(
        jobs,
        places=gpu_places(["0", "1", "2", "3"], 2),
        console=Console(file=io.StringIO()),
        make_command=lambda job: command(job, STAND_IN),
    )
    seen = [json.loads((job.folder / "seen.json").read_text()) for job in jobs]
    assert [found["CUDA_VISIBLE_DEVICES"] for found in seen[:2]] == ["0,1", "2,3"]
    assert seen[2]["CUDA_VISIBLE_DEVICES"] in ("0,1", "2,3")  # whichever was free first
    for found in seen:
        assert found["OMP_NUM_THREADS"] is None
        assert found["words"][:3] == ["--num-gpus", "2", "--config-file"]


def test_places_say_what_a_process_needs() -> None:
    assert cpu_places(2) == [Place(), Place()]
    assert Place().environment["OMP_NUM_THREADS"] == "1"
    assert Place(("3",)).environment == {"CUDA_VISIBLE_DEVICES": "3"}
    words = ["python", "train_net.py", "--config-file", "a.yaml"]
    assert Place(("3",)).words(words) == words
    assert Place(("3", "4")).words(words)[2:4] == ["--num-gpus", "2"]
