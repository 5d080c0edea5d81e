"""Commands and paths without a folder of one machine's."""

from pathlib import Path

import pytest

from projects.studies.jobs import REPOSITORY, Job
from projects.studies.shell import job_command, relative_path, shell_command

OUTPUT = Path("/scratch/run7/comparison")


@pytest.mark.parametrize(
    ("word", "shown"),
    [
        ("output/quickstart/a", "output/quickstart/a"),
        ("../shared/val", "../shared/val"),
        ("/scratch/run7/comparison/R_50/model_final.pth", "$OUTPUT/R_50/model_final.pth"),
        ("/scratch/run7/comparison", "$OUTPUT"),
        ("/mnt/disk3/coco/val2017", "$DATA/val2017"),
        (f"{Path.home()}/coco/val.json", "~/coco/val.json"),
        (f"{REPOSITORY}/configs/a.yaml", "configs/a.yaml"),
        ("val=/mnt/a/val.json:/mnt/a/val", "val=$DATA/val.json:$DATA/val"),
        ("resnext_det://Paper/a.yaml", "resnext_det://Paper/a.yaml"),
        ("https://host.example/a.pth", "https://host.example/a.pth"),
        ("-p gpu", "'-p gpu'"),
        ("", "''"),
    ],
    ids=lambda value: value.rsplit("/", 1)[-1] or "empty",
)
def test_words_name_no_folder_of_this_machine(word: str, shown: str) -> None:
    assert shell_command(["train", word], OUTPUT) == f"train {shown}"


def test_a_job_is_typed_in_a_shell() -> None:
    folder = Path("output/a")
    job = Job("A", folder, ("--config-file", "a.yaml", "MODEL.WEIGHTS", "", "SEED", "1"), 1, "")
    assert job_command(job, folder.parent) == (
        "python train_net.py --config-file a.yaml MODEL.WEIGHTS '' SEED 1"
    )


def test_paths_are_seen_from_the_study(tmp_path: Path) -> None:
    assert relative_path(tmp_path / "data" / "val", tmp_path / "study") == "../data/val"
    assert relative_path(Path("/proc/val"), tmp_path) is None  # nothing in common
    users = Path.home().parent
    assert relative_path(users / "one" / "coco", users / "other" / "study") is None
