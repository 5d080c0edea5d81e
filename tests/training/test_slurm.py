"""SLURM's variables, as srun and sbatch set them. Engine-neutral."""

import pytest

from resnext_det.errors import UserError
from resnext_det.training.place import Place
from resnext_det.training.slurm import first_host, slurm_address, slurm_place, tasks_per_node

STEP = {
    "SLURM_JOB_ID": "4711",
    "SLURM_STEP_ID": "0",
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NODEID": "2",
    "SLURM_NTASKS": "6",
    "SLURM_STEP_NUM_TASKS": "6",
    "SLURM_STEP_TASKS_PER_NODE": "2(x3)",
    "SLURM_JOB_NODELIST": "gpu[03-05,09],x1",
}


def test_a_step_of_several_tasks():
    expected = Place(rank=5, world_size=6, local_rank=1, local_world_size=2, machine=2)
    assert slurm_place(STEP) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"SLURM_STEP_ID": None},  # in the batch script itself, which knows the job's tasks
        {"SLURM_PROCID": None},
        {"SLURM_STEP_NUM_TASKS": "1"},  # an interactive shell of a job of several tasks
        {"SLURM_NTASKS": "1", "SLURM_STEP_NUM_TASKS": None},
    ],
)
def test_no_step_of_several_tasks(change):
    variables = {name: value for name, value in (STEP | change).items() if value is not None}
    assert slurm_place(variables) is None
    assert slurm_place({}) is None


def test_a_variable_that_is_missing_or_no_number_is_named():
    without = {name: value for name, value in STEP.items() if name != "SLURM_LOCALID"}
    with pytest.raises(UserError, match="SLURM_LOCALID is None: .* needs a number"):
        slurm_place(without)
    with pytest.raises(UserError, match="SLURM_PROCID is 'x': .* needs a number"):
        slurm_place(STEP | {"SLURM_PROCID": "x"})


@pytest.mark.parametrize(
    ("nodes", "host"),
    [
        ("gpu[03-05,09],x1", "gpu03"),
        ("x1,gpu[03-05]", "x1"),
        ("node7", "node7"),
        ("r[1-2]n[01-04]", "r1n01"),
        ("n[9,12]-ib.cluster", "n9-ib.cluster"),
        ("10.0.0.1", "10.0.0.1"),
    ],
)
def test_first_host(nodes, host):
    assert first_host(nodes) == host


@pytest.mark.parametrize("nodes", ["", ",a"])
def test_no_first_host(nodes):
    with pytest.raises(UserError, match="names none: set MASTER_ADDR"):
        first_host(nodes)


def test_tasks_per_node():
    assert tasks_per_node("2(x3),1") == [2, 2, 2, 1]
    assert tasks_per_node("8") == [8]
    assert tasks_per_node("") == []


def test_the_address_is_the_same_in_every_process_and_differs_by_job_and_step():
    assert slurm_address(STEP) == ("gpu03", 24711)
    ports = {
        slurm_address(STEP | {"SLURM_JOB_ID": str(job), "SLURM_STEP_ID": str(step)})[1]
        for job in range(10**6, 10**6 + 50)
        for step in range(3)
    }
    assert len(ports) == 150
    assert min(ports) >= 20000
    assert max(ports) < 32000


def test_the_step_stands_above_the_job_and_the_user_above_both():
    step = STEP | {"SLURM_STEP_NODELIST": "x[1-2]"}
    assert slurm_address(step)[0] == "x1"
    own = step | {"MASTER_ADDR": "head", "MASTER_PORT": "29500"}
    assert slurm_address(own) == ("head", 29500)
    with pytest.raises(UserError, match="SLURM set none of SLURM_STEP_NODELIST, .* MASTER_ADDR"):
        slurm_address({"SLURM_JOB_ID": "1"})
