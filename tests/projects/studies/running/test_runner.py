"""The runner of studies, with a stand-in for train_net.py."""

import io
import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from projects.studies.code_version import REPOSITORY
from projects.studies.folders.records import is_finished, job_seconds, read_record
from projects.studies.jobs import Job, command
from projects.studies.places import cpu_places
from projects.studies.running import runner
from projects.studies.running.processes import LOCK, JobFailedError, is_held, resumed
from projects.studies.running.progress import status
from projects.studies.running.runner import run_jobs
from resnext_det.errors import UserError

STAND_IN = Path(__file__).parents[1] / "stand_in.py"


def make_job(folder: Path, mode: str = "good", needs: tuple[Path, ...] = ()) -> Job:
    arguments = ("--config-file", mode, "OUTPUT_DIR", str(folder))
    return Job(folder.name, folder, arguments, max_iter=40, digest=mode, needs=needs)


def run(*jobs: Job, side_by_side: int = 2) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=120)
    fresh = run_jobs(
        jobs,
        places=cpu_places(side_by_side),
        console=console,
        make_command=lambda job: command(job, STAND_IN),
    )
    return fresh, console.file.getvalue()


def starts(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "starts.txt").read_text().splitlines()]


def moment(folder: Path, word: str) -> float:
    lines = (folder / "starts.txt").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(word))


def test_jobs_run_in_order_and_side_by_side(tmp_path: Path) -> None:
    first, second = make_job(tmp_path / "a", "meets b"), make_job(tmp_path / "b", "meets a")
    third = make_job(tmp_path / "c", needs=(first.folder,))
    fresh, shown = run(first, second, third)  # which only ends well side by side
    assert fresh
    assert moment(third.folder, "new") > moment(first.folder, "ended")  # after what it needs
    assert shown.count("done, ") == 3
    assert "AP50 41.3" in shown
    assert "half-way through" in (first.folder / "console.txt").read_text()
    assert 0 < job_seconds(first.folder) < 30


def test_one_at_a_time(tmp_path: Path) -> None:
    first, second = make_job(tmp_path / "a"), make_job(tmp_path / "b")
    run(first, second, side_by_side=1)
    assert moment(second.folder, "new") > moment(first.folder, "ended")


def test_finished_jobs_are_kept(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a")
    run(job)
    seconds = job_seconds(job.folder)
    fresh, shown = run(job)
    assert not fresh
    assert starts(job.folder) == ["new", "ended"]
    assert "finished before, AP50 41.3" in shown
    assert job_seconds(job.folder) == seconds


def test_a_job_of_the_cpu_computes_in_one_thread_and_sees_no_gpu(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a")
    run(job)
    seen = json.loads((job.folder / "seen.json").read_text())
    assert seen["OMP_NUM_THREADS"] == "1"
    assert seen["CUDA_VISIBLE_DEVICES"] == ""
    assert "--num-gpus" not in seen["words"]


def test_no_jobs_is_nothing_to_do() -> None:
    assert run() == (True, "")


def test_a_failing_job_shows_its_last_lines_and_stops_the_others(tmp_path: Path) -> None:
    bad, slow = make_job(tmp_path / "bad", "bad"), make_job(tmp_path / "slow", "slow")
    begin = time.monotonic()
    with pytest.raises(JobFailedError, match="bad: ended with status 2") as caught:
        run(slow, bad)
    assert "error: the reason" in str(caught.value)
    assert time.monotonic() - begin < 20  # not the minute that the slow one would take
    assert "ended" not in starts(slow.folder)


def test_a_job_that_was_told_to_stop_goes_on_at_the_next_call(tmp_path: Path) -> None:
    job = make_job(tmp_path / "stopped", "stopped")
    with pytest.raises(JobFailedError, match=r"^stopped: was told to stop and has saved its state"):
        run(job)
    run(job)
    assert starts(job.folder) == ["new", "resumed", "ended"]


def test_a_job_that_ends_without_a_result_has_failed(tmp_path: Path) -> None:
    with pytest.raises(JobFailedError, match="silent: ended with status 0"):
        run(make_job(tmp_path / "silent", "silent"))


def test_a_resumed_job_names_no_weights_which_resume_refuses() -> None:
    words = ["train_net.py", "--config-file", "a.yaml", "MODEL.WEIGHTS", "", "SEED", "1"]
    assert resumed(words) == ["train_net.py", "--resume", "--config-file", "a.yaml", "SEED", "1"]


def test_an_interrupted_job_is_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = make_job(tmp_path / "slow", "slow")

    def interrupt_once_it_has_a_checkpoint() -> None:
        threading.Event().wait(0.1)
        if (job.folder / "last_checkpoint").exists():
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("projects.studies.running.runner._pause", interrupt_once_it_has_a_checkpoint)
        with pytest.raises(KeyboardInterrupt):
            run(job)
    earlier = job_seconds(job.folder)
    fresh, _ = run(job)
    assert not fresh
    assert starts(job.folder) == ["new", "resumed", "ended"]
    assert job_seconds(job.folder) > earlier


def test_a_folder_of_another_command_is_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a")
    run(job)
    with pytest.raises(UserError, match=r"a holds a run with other settings: remove the folder"):
        run(replace(job, digest="another"))


def test_status_follows_metrics(tmp_path: Path) -> None:
    job = make_job(tmp_path)
    metrics = tmp_path / "metrics.json"
    assert status(job) == (0, "starting")
    metrics.write_text('{"iteration": 19, "total_loss": 1.5}\n')
    assert status(job) == (20, "loss 1.500")
    metrics.write_text('{"iteration": 19, "total_loss": 1.5}\n{"iteration": 39}\n')
    assert status(job) == (40, "evaluating")


def test_sources_that_change_meanwhile_end_the_study(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make_job(tmp_path / "a")
    second = make_job(tmp_path / "b", needs=(first.folder,))
    real = runner.current_sources
    monkeypatch.setattr(runner, "current_sources", lambda: "new" if is_finished(first) else real())
    with pytest.raises(UserError, match="sources were changed while the study ran .* began it"):
        run(first, second)
    assert not second.folder.exists()


def test_what_a_killed_study_left_running_is_waited_for_and_not_begun_twice(
    tmp_path: Path,
) -> None:
    job = make_job(tmp_path / "a", "waits")
    after = make_job(tmp_path / "b", needs=(job.folder,))
    killed = study_elsewhere(job)
    wait_for(job.folder / "starts.txt")
    killed.kill()
    killed.wait()
    assert is_held(job)

    def go() -> None:
        (tmp_path / "go").touch()
        threading.Event().wait(0.05)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("projects.studies.running.runner._pause", go)
        fresh, shown = run(job, after)
    assert not fresh
    assert "a: still runs from an earlier start" in shown
    assert starts(job.folder) == ["new", "ended"]
    assert starts(after.folder) == ["new", "ended"]
    record = read_record(job.folder)
    assert record.started is None
    assert not is_held(job)


def test_a_lock_that_is_a_link_is_refused(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a")
    job.folder.mkdir()
    (job.folder / LOCK).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"cannot be locked \(a link\): remove it"):
        is_held(job)
    assert not (tmp_path / "elsewhere").exists()


def test_an_interrupt_stops_what_a_killed_study_left_running(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a", "slow")
    killed = study_elsewhere(job)
    wait_for(job.folder / "last_checkpoint")
    killed.kill()
    killed.wait()

    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("projects.studies.running.runner._pause", interrupt)
        with pytest.raises(KeyboardInterrupt):
            run(job)
    assert not is_held(job)
    run(job)
    assert starts(job.folder) == ["new", "resumed", "ended"]


def test_what_still_runs_with_other_settings_is_not_waited_for(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a", "waits")
    killed = study_elsewhere(job)
    wait_for(job.folder / "starts.txt")
    killed.kill()
    killed.wait()
    with pytest.raises(UserError, match="a is in use by process .*, with other settings or sour"):
        run(replace(job, digest="another"))
    (tmp_path / "go").touch()
    run(job)
    assert starts(job.folder) == ["new", "ended"]


def test_a_terminated_study_leaves_its_jobs_resumable(tmp_path: Path) -> None:
    job = make_job(tmp_path / "a", "slow")
    study = study_elsewhere(job)
    wait_for(job.folder / "last_checkpoint")
    study.send_signal(signal.SIGTERM)
    assert study.wait(60) == 130
    assert not is_held(job)
    assert read_record(job.folder).cpu_seconds > 0
    run(job)
    assert starts(job.folder) == ["new", "resumed", "ended"]


def study_elsewhere(job: Job) -> subprocess.Popen[bytes]:
    """Runs a job's study in another process, as a project's command does."""
    code = f"""
import signal, sys
from pathlib import Path
from rich.console import Console
from projects.studies.running import runner
from projects.studies.code_version import REPOSITORY
from projects.studies.jobs import Job, command
from projects.studies.places import cpu_places
from projects.studies.running.runner import run_jobs

def interrupt(*_):
    raise KeyboardInterrupt

signal.signal(signal.SIGTERM, interrupt)
job = Job({job.title!r}, Path({str(job.folder)!r}), {job.arguments!r}, 40, {job.digest!r})
try:
    run_jobs([job], places=cpu_places(1), console=Console(stderr=True),
             make_command=lambda job: command(job, Path({str(STAND_IN)!r})))
except KeyboardInterrupt:
    sys.exit(130)
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 120
    while not path.exists():
        assert time.monotonic() < deadline, path
        time.sleep(0.02)
