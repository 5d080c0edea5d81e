"""What a job's folder says of its run, and which runs may be continued or compared."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from projects.studies.code_version import CodeVersion
from projects.studies.folders.records import (
    check_finished,
    check_records,
    check_same_sources,
    job_seconds,
    new_record,
    read_record,
    settled,
    write_record,
)
from projects.studies.jobs import Job, make_job
from resnext_det.errors import UserError

OLD = CodeVersion("0.1.0", "aaaaaaaaaaaaaaaa", "1111111111111111")
NEW = CodeVersion("0.1.0", "bbbbbbbbbbbbbbbb", "2222222222222222")


def begun(folder: Path, code: CodeVersion = OLD, *, finished: bool = False) -> Job:
    job = Job(folder.name, folder, ("--config-file", "a.yaml", "SEED", "1"), 40, "digest")
    write_record(folder, new_record(job, code))
    (folder / ("result.json" if finished else "last_checkpoint")).write_text("{}")
    return job


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    job = begun(tmp_path / "a")
    record = replace(new_record(job, NEW, 2), seconds=1.5, devices=("0", "1"), slurm_job="7")
    write_record(job.folder, record)
    assert read_record(job.folder) == record
    content = json.loads((job.folder / "study_job.json").read_text())
    assert content["code"] == {"package": "0.1.0", "sources": NEW.sources, "commit": NEW.commit}
    assert content["command"] == ("python train_net.py --num-gpus 2 --config-file a.yaml SEED 1")
    assert read_record(tmp_path) is None
    assert job_seconds(tmp_path) is None


def test_a_record_of_before_there_was_code_in_it_is_read(tmp_path: Path) -> None:
    (tmp_path / "study_job.json").write_text('{"digest": "d", "seconds": 3.0}')
    assert job_seconds(tmp_path) == 3.0
    job = Job("a", tmp_path, (), 40, "d")
    (tmp_path / "result.json").write_text("{}")
    check_records([job], NEW)  # finished: nothing is trained
    other = Job("b", tmp_path / "b", (), 40, "d")
    with pytest.raises(UserError, match="does not say by which sources it was trained"):
        check_records([job, other], NEW)


@pytest.mark.parametrize(
    "text",
    ["", "[]", '{"seconds": 1}', '{"digest": "d", "code": 1}', "[" * 100_000],
    ids=["empty", "list", "no digest", "code", "deep"],
)
def test_a_damaged_record_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "study_job.json").write_text(text)
    with pytest.raises(UserError, match=r"study_job.json: is no record of a study's run"):
        read_record(tmp_path)


def test_an_unfinished_study_is_not_continued_by_other_sources(tmp_path: Path) -> None:
    jobs = [begun(tmp_path / "a", finished=True), begun(tmp_path / "b")]
    check_records(jobs, OLD)
    with pytest.raises(UserError) as caught:
        check_records(jobs, NEW)
    assert str(caught.value) == (
        f"{tmp_path}/a was trained by sources aaaaaaaaaaaa (commit 111111111111), and today's are "
        "sources bbbbbbbbbbbb (commit 222222222222): to go on with this study, check out commit "
        "111111111111; or give another --output"
    )


@pytest.mark.parametrize("commit", [None, "1111111111111111 with changes"])
def test_sources_that_no_commit_holds_have_to_be_brought_back(
    tmp_path: Path, commit: str | None
) -> None:
    jobs = [begun(tmp_path / "a", replace(OLD, commit=commit))]
    with pytest.raises(UserError, match="go on with this study, bring those sources back; or give"):
        check_records(jobs, NEW)


def test_a_finished_study_needs_no_more_than_one_code(tmp_path: Path) -> None:
    jobs = [begun(tmp_path / name, finished=True) for name in ("a", "b")]
    check_records(jobs, NEW)
    check_records([], NEW)
    jobs.append(begun(tmp_path / "c", NEW, finished=True))
    with pytest.raises(UserError, match=r"a was trained by sources a.*but .*c by sources b.*remov"):
        check_records(jobs, NEW)
    with pytest.raises(UserError, match="cannot be compared"):
        check_same_sources(jobs)


def test_a_finished_run_of_other_settings_is_not_gathered(tmp_path: Path) -> None:
    job = begun(tmp_path / "a", finished=True)
    check_finished([job])
    with pytest.raises(UserError, match="a holds a run with other settings: remove the folder"):
        check_finished([replace(job, digest="another")])


def test_a_run_goes_on_with_the_gpus_that_it_began_with(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="started on 1 GPUs a run, .* give --gpus-per-run 1, or"):
        check_records([begun(tmp_path / "a")], OLD, num_gpus=2)


def test_a_start_that_ended_unseen_lasted_until_it_last_wrote(tmp_path: Path) -> None:
    job = begun(tmp_path / "a")
    written = (job.folder / "last_checkpoint").stat().st_mtime
    record = replace(new_record(job, OLD), seconds=10.0, started=written - 5.0)
    assert settled(job.folder, record).seconds == pytest.approx(15.0)
    write_record(job.folder, record)
    assert job_seconds(job.folder) == pytest.approx(15.0)
    later = replace(record, started=written + 5.0)  # it wrote nothing
    assert settled(job.folder, later).seconds == 10.0


def test_a_moved_study_is_the_same_study(tmp_path: Path) -> None:
    def job_in(output: Path, seed: int = 1) -> Job:
        weights = ("MODEL.WEIGHTS", f"{output}/first/model_final.pth")
        config = "resnext_det://quick_schedules/faster_rcnn_R_26_FPN.yaml"
        return make_job("a", output / "second", config, seed=seed, overrides=weights)

    first = job_in(tmp_path / "here").digest
    assert job_in(tmp_path / "there" / "below").digest == first
    assert job_in(tmp_path / "here", seed=2).digest != first
