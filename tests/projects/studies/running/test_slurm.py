"""Jobs on a cluster, with a stand-in for SLURM that runs their scripts."""

import importlib.util
import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from projects.studies.code_version import current_sources
from projects.studies.folders.records import TIMES, job_seconds, read_record, write_record
from projects.studies.jobs import Job, command
from projects.studies.places import cpu_places
from projects.studies.running.processes import LOCK
from projects.studies.running.runner import run_jobs
from projects.studies.running.slurm import submit_jobs
from projects.studies.running.slurm_queue import submit
from resnext_det.errors import UserError
from resnext_det.folder_locks import release, try_lock

STAND_IN = Path(__file__).parents[1] / "stand_in.py"
SLURM = Path(__file__).with_name("slurm_stand_in.py")


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    spec = importlib.util.spec_from_file_location("slurm_stand_in", SLURM)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found = module.Cluster(tmp_path / "cluster")
    monkeypatch.setenv("PATH", f"{found.commands}:/usr/bin:/bin")
    return found


def make_job(folder: Path, mode: str = "good", needs: tuple[Path, ...] = ()) -> Job:
    arguments = ("--config-file", mode, "OUTPUT_DIR", str(folder))
    return Job(folder.name, folder, arguments, max_iter=40, digest="digest", needs=needs)


def stand_in(job: Job) -> list[str]:
    return command(job, STAND_IN)


def give(*jobs: Job, options: str = "-p gpu --gres=gpu:1", num_gpus: int = 1) -> tuple[bool, str]:
    console = Console(file=io.StringIO(), width=120)
    finished = submit_jobs(
        jobs, options=options, console=console, num_gpus=num_gpus, make_command=stand_in
    )
    return finished, console.file.getvalue()


def starts(folder: Path) -> list[str]:
    return [line.split()[0] for line in (folder / "starts.txt").read_text().splitlines()]


def study(folder: Path, mode: str = "good") -> tuple[Job, Job, Job]:
    first = make_job(folder / "first one", mode)
    return first, make_job(folder / "second", needs=(first.folder,)), make_job(folder / "third")


def test_jobs_are_submitted_once_and_gathered_later(tmp_path: Path, cluster) -> None:
    jobs = study(tmp_path / "study")
    finished, said = give(*jobs)
    assert not finished
    assert said.splitlines() == [
        "first one: submitted as job 100",
        "second: submitted as job 101, after 100",
        "third: submitted as job 102",
        "Of 3 runs: 3 submitted.",
        "The same command says how they are, and makes the table once all are done.",
    ]
    assert [job["after"] for job in cluster.jobs] == [[], ["100"], []]
    assert {job["gres"] for job in cluster.jobs} == {"gpu:1"}
    finished, said = give(*jobs)
    assert not finished
    assert said.startswith("Of 3 runs: 3 wait or run.\n")
    assert len(cluster.jobs) == 3
    cluster.work()
    assert cluster.states() == ["COMPLETED"] * 3
    assert give(*jobs) == (True, "Of 3 runs: 3 finished.\n")
    for job in jobs:
        assert starts(job.folder) == ["new", "ended"]
        assert "half-way through" in (job.folder / "console.txt").read_text()
        assert job_seconds(job.folder) >= 0
    record = read_record(jobs[1].folder)
    assert (record.slurm_job, record.code.sources) == ("101", current_sources())


def test_no_jobs_need_no_slurm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert give() == (True, "Of 0 runs: none to submit.\n")


def test_what_failed_is_submitted_again_with_what_waited_for_it(tmp_path: Path, cluster) -> None:
    jobs = study(tmp_path / "study", "bad")
    give(*jobs)
    cluster.work()
    assert cluster.states() == ["FAILED", "CANCELLED by 0", "COMPLETED"]
    good = (
        replace(jobs[0], arguments=("--config-file", "good", *jobs[0].arguments[2:])),
        *jobs[1:],
    )
    finished, said = give(*good)
    assert not finished
    assert said.splitlines()[:3] == [
        "first one: FAILED (error: the reason); submitted again as job 103",
        "second: CANCELLED by 0; submitted again as job 104, after 103",
        "Of 3 runs: 1 finished, 2 failed and submitted again.",
    ]
    cluster.work()
    assert give(*good)[0]


def test_what_still_waits_for_a_failed_job_waits_for_its_new_one(tmp_path: Path, cluster) -> None:
    jobs = study(tmp_path / "study")
    give(*jobs)
    cluster.set_state(100, "TIMEOUT")
    _, said = give(*jobs)
    assert "first one: TIMEOUT; submitted again as job 103\n" in said
    assert "second: submitted as job 104, after 103\n" in said
    assert "1 wait or run, 1 submitted, 1 failed and submitted again" in said
    assert cluster.states() == ["TIMEOUT", "CANCELLED by 0", "PENDING", "PENDING", "PENDING"]
    cluster.work()
    assert give(*jobs)[0]


def test_what_was_killed_goes_on_from_its_checkpoint(tmp_path: Path, cluster) -> None:
    job = make_job(tmp_path / "study" / "a", "slow")  # which resumed does not wait
    give(job)
    (job.folder / "last_checkpoint").write_text("model_0000019.pth")
    (job.folder / "study_times.txt").write_text("start 100\nend 107\n")
    cluster.set_state(100, "OUT_OF_MEMORY")
    _, said = give(job)
    assert "a: OUT_OF_MEMORY; submitted again as job 101, goes on from its checkpoint\n" in said
    cluster.work()
    assert give(job)[0]
    assert starts(job.folder) == ["resumed", "ended"]
    assert job_seconds(job.folder) >= 7


def test_a_script_that_slurm_starts_again_by_itself_goes_on(tmp_path: Path, cluster) -> None:
    job = make_job(tmp_path / "study" / "a", "slow")
    give(job)
    (job.folder / "last_checkpoint").write_text("model_0000019.pth")  # then its machine failed
    cluster.work()
    assert cluster.states() == ["COMPLETED"]
    assert starts(job.folder) == ["resumed", "ended"]


def test_accounts_may_be_missing(tmp_path: Path, cluster) -> None:
    (cluster.commands / "sacct").unlink()
    job = make_job(tmp_path / "a", "bad")
    give(job)
    cluster.work()
    _, said = give(job)
    assert "a: gone from the queue (error: the reason); submitted again as job 101" in said


def test_a_job_that_was_told_to_stop_asks_to_be_started_again(
    tmp_path: Path, cluster, monkeypatch
) -> None:
    monkeypatch.setenv("SLURM_JOB_ID", "100")
    asked = tmp_path / "asked.txt"
    scontrol = cluster.commands / "scontrol"
    scontrol.write_text(f'#!/bin/sh\necho "$@" >> "{asked}"\n')
    scontrol.chmod(0o755)
    job = make_job(tmp_path / "a", "stopped")
    give(job)
    cluster.work()
    assert asked.read_text() == "requeue 100\n"
    cluster.set_state(100, "PENDING")  # which is what that asks for
    # A run goes on without the file that names its newest checkpoint.
    (job.folder / "last_checkpoint").rename(job.folder / "model_0000019.pth")
    cluster.work()
    assert starts(job.folder) == ["new", "resumed", "ended"]
    assert asked.read_text() == "requeue 100\n"
    assert give(job)[0]


def test_several_gpus_are_several_processes(tmp_path: Path, cluster) -> None:
    job = make_job(tmp_path / "a")
    give(job, options="--gres=gpu:4", num_gpus=4)
    cluster.work()
    seen = json.loads((job.folder / "seen.json").read_text())
    assert seen["words"][:2] == ["--num-gpus", "4"]


def test_a_job_of_other_sources_does_not_start(tmp_path: Path, cluster, monkeypatch) -> None:
    job = make_job(tmp_path / "a")
    give(job)
    script = job.folder / "study_job.sh"
    script.write_text(script.read_text().replace(current_sources(), "0" * 64))
    cluster.work()
    assert cluster.states() == ["FAILED"]
    assert not (job.folder / "starts.txt").exists()
    assert "but 000000000000 began" in (job.folder / "console.txt").read_text()


def test_what_waits_with_other_settings_is_not_taken_for_this_study_s(
    tmp_path: Path, cluster
) -> None:
    job = make_job(tmp_path / "a")
    give(job)
    with pytest.raises(UserError, match=r"a waits or runs in SLURM as job 100, with .*scancel 100"):
        give(replace(job, digest="another"))
    record = read_record(job.folder)
    write_record(job.folder, replace(record, code=replace(record.code, sources="another")))
    with pytest.raises(UserError, match="other settings or sources"):
        give(job)
    assert len(cluster.jobs) == 1


def test_what_slurm_runs_is_not_run_here(tmp_path: Path, cluster, monkeypatch) -> None:
    job = make_job(tmp_path / "a")
    give(job)

    def run_here() -> None:
        console = Console(file=io.StringIO())
        run_jobs([job], places=cpu_places(1), console=console, make_command=stand_in)

    with pytest.raises(UserError, match=r"a is job 100 in SLURM \(PENDING\): give --slurm again"):
        run_here()
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/usr/bin:/bin")
        with pytest.raises(UserError, match=r"not to be had here \(.*no squeue.*remove slurm_job"):
            run_here()
    cluster.set_state(100, "CANCELLED by 0")
    run_here()
    assert starts(job.folder) == ["new", "ended"]


def test_what_runs_here_is_not_submitted(tmp_path: Path, cluster) -> None:
    job = make_job(tmp_path / "a")
    lock = try_lock(job.folder / LOCK)
    with pytest.raises(UserError, match="a is in use by another process: end it first"):
        give(job)
    release(lock)
    assert not cluster.jobs


@pytest.mark.parametrize(
    "name",
    ["a b", "it's", 'a"b', "a$(touch made)b", "a;touch made", "a\nb", "a`touch made`"],
    ids=["space", "quote", "double quote", "substitution", "semicolon", "line", "backtick"],
)
def test_a_script_writes_its_times_where_they_belong_whatever_the_folder_is_called(
    tmp_path: Path, cluster, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    neighbour = tmp_path / "a"
    neighbour.write_text("mine")
    monkeypatch.chdir(tmp_path)
    before = {path.name for path in tmp_path.iterdir()}
    job = make_job(tmp_path / name / "run")
    give(job)
    cluster.work()
    assert cluster.states() == ["COMPLETED"]
    words = [line.split()[0] for line in (job.folder / TIMES).read_text().splitlines()]
    assert words == ["start", "end"]
    assert neighbour.read_text() == "mine"
    assert {path.name for path in tmp_path.iterdir()} == {*before, name.partition("/")[0]}


@pytest.mark.parametrize("program", ["sbatch", "squeue"])
def test_a_machine_without_slurm_is_named(tmp_path: Path, cluster, program: str) -> None:
    (cluster.commands / program).unlink()
    words = f"--slurm: there is no {program} on this machine's PATH: give the command where SLURM"
    with pytest.raises(UserError, match=words):
        give(make_job(tmp_path / "a"))


def test_what_sbatch_says_against_a_job_is_passed_on(tmp_path: Path, cluster) -> None:
    with pytest.raises(UserError) as caught:
        give(make_job(tmp_path / "a"), options="-p absent")
    assert str(caught.value) == (
        "a: sbatch refused: sbatch: error: invalid partition specified: absent"
    )
    assert not cluster.jobs


def test_an_answer_that_is_no_number_is_no_submission(tmp_path: Path, cluster) -> None:
    (cluster.commands / "sbatch").write_text("#!/bin/sh\necho welcome\n")
    with pytest.raises(UserError, match="a: sbatch gave no job number but 'welcome'"):
        give(make_job(tmp_path / "a"))
    assert read_record(tmp_path / "a") is None


def test_options_are_words_as_in_a_shell(tmp_path: Path, cluster) -> None:
    with pytest.raises(UserError, match=r"--slurm -p 'gpu: cannot be split into words"):
        give(make_job(tmp_path / "a"), options="-p 'gpu")


def test_a_failing_squeue_submits_nothing(tmp_path: Path, cluster) -> None:
    (cluster.commands / "squeue").write_text("#!/bin/sh\necho no controller >&2\nexit 1\n")
    with pytest.raises(UserError, match="squeue refused: no controller"):
        give(make_job(tmp_path / "a"))
    assert not cluster.jobs


def test_a_folder_s_percent_sign_is_no_pattern(tmp_path: Path, cluster) -> None:
    submit(tmp_path / "script", [], name="a", output=tmp_path / "90%j" / "console.txt")
    assert cluster.jobs[0]["output"].endswith("90%%j/console.txt")


def test_an_interrupt_waits_until_a_submitted_job_s_number_is_written(
    tmp_path: Path, cluster
) -> None:
    path = cluster.commands / "sbatch"
    path.write_text(path.read_text().replace("exec", "kill -INT $PPID; exec"))
    jobs = study(tmp_path / "study")
    with pytest.raises(KeyboardInterrupt):
        give(*jobs)
    assert [job["name"] for job in cluster.jobs] == ["first one"]
    assert read_record(jobs[0].folder).slurm_job == "100"
