"""Two machines: network namespaces with an address each, joined by a virtual cable."""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence

import pytest
import torch

from tests.distributed.commands import ROOT, Started, arguments, start, start_process
from tests.distributed.test_endings import ENDLESS
from tests.distributed.test_preemption import SCRIPT as STOPPING
from tests.engines.conftest import Bench

pytestmark = pytest.mark.slow
PORT = 29555
ADDRESSES = ("10.93.0.1", "10.93.0.2")
NETWORK = """
ip netns add {0}
ip netns add {1}
ip link add {0} netns {0} type veth peer name {1} netns {1}
ip -n {0} address add 10.93.0.1/24 dev {0}
ip -n {1} address add 10.93.0.2/24 dev {1}
ip -n {0} link set {0} up
ip -n {1} link set {1} up
ip -n {0} link set lo up
ip -n {1} link set lo up
"""


@pytest.fixture
def hosts() -> Iterator[tuple[str, str]]:
    """The names of two namespaces; 10.93.0.1 and 10.93.0.2 reach each other and nothing else."""
    if shutil.which("ip") is None:
        pytest.skip("needs the command ip (on Debian: apt-get install iproute2)")
    names = (f"rdet{os.getpid()}a", f"rdet{os.getpid()}b")
    try:
        for line in NETWORK.format(*names).split("\n"):
            made = subprocess.run(line.split(), capture_output=True, text=True) if line else None
            if made and made.returncode:
                pytest.skip(f"needs the right to make network namespaces: {made.stderr.strip()}")
        yield names
    finally:
        for name in names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def start_on(hosts: tuple[str, str], bench: Bench, *words: object) -> Started:
    """Starts the command on both machines, or on as many as are named."""
    url = f"tcp://{ADDRESSES[0]}:{PORT}"
    numbers = ("--num-machines", 2, "--dist-url", url)
    options = [(*numbers, "--machine-rank", place) for place in (0, 1)]
    commands = [
        ["train_net.py", *options[i], *arguments(bench, "portable", *words)] for i in (0, 1)
    ]
    return start_each(hosts, bench, commands, ({}, {}))


def start_each(
    hosts: Sequence[str],
    bench: Bench,
    commands: Sequence[Sequence[object]],
    variables: Sequence[Mapping[str, str]],
) -> Started:
    """Starts one Python command on each machine that is named."""
    processes, outputs = [], []
    for host, command, own in zip(hosts, commands, variables, strict=True):
        if host:
            words = ["ip", "netns", "exec", host, sys.executable, *map(str, command)]
            process, output = start_process(words, bench, own)
            processes.append(process)
            outputs.append(output)
    return Started(processes, outputs)


def test_two_machines_train_as_two_processes_of_one(hosts: tuple[str, str], bench: Bench) -> None:
    run = start_on(hosts, bench, "hosts")
    assert run.wait() == [0, 0], run.said()
    assert start(bench, "--num-gpus", arguments(bench, "portable", "one")).wait() == [0]
    apart, together = (
        torch.load(bench.folder / name / "model_final.pth", weights_only=True)["model"]
        for name in ("hosts", "one")
    )
    assert all(torch.equal(apart[name], together[name]) for name in together)
    first = (bench.folder / "hosts" / "log.txt").read_text().splitlines()[0]
    assert "2 processes, started by --num-gpus 1 on 2 machines, talk by gloo" in first


def test_torchrun_on_two_machines(hosts: tuple[str, str], bench: Bench) -> None:
    meeting = ("--nnodes", 2, "--nproc-per-node", 1, "--master-addr", ADDRESSES[0])
    before = ("-m", "torch.distributed.run", *meeting, "--master-port", PORT, "--node-rank")
    commands = [
        [*before, place, "train_net.py", *arguments(bench, "portable", "run")] for place in (0, 1)
    ]
    run = start_each(hosts, bench, commands, ({}, {}))
    assert run.wait() == [0, 0], run.said()
    assert "2 processes, started by torchrun" in (bench.folder / "run" / "log.txt").read_text()


STATIC = ("--master-addr", ADDRESSES[0], "--master-port", PORT, "--node-rank")
C10D = ("--rdzv-backend", "c10d", "--rdzv-id", "1", "--rdzv-endpoint", f"{ADDRESSES[0]}:{PORT}")
MEETINGS = {
    "static": [(*STATIC, place) for place in (0, 1)],
    "c10d": [
        (*C10D, "--rdzv-conf", f"is_host={1 - place}", "--local-addr", ADDRESSES[place])
        for place in (0, 1)
    ],
}


@pytest.mark.parametrize("meeting", ["static", pytest.param("c10d", marks=pytest.mark.long)])
def test_torchrun_on_two_machines_goes_on_after_a_kill(
    meeting: str, hosts: tuple[str, str], bench: Bench
) -> None:
    before = ("-m", "torch.distributed.run", "--nnodes", 2, "--nproc-per-node", 1)
    before += ("--max-restarts", 3)
    words = arguments(bench, "portable", "run")
    commands = [[*before, *options, STOPPING, *words] for options in MEETINGS[meeting]]
    kill = {"moment": "iteration", "at": 4, "rank": 1, "signal": "SIGKILL"}
    run = start_each(hosts, bench, commands, ({"PLAN": json.dumps([kill])},) * 2)
    assert run.wait() == [0, 0], run.said()
    assert "Resuming from " in run.said()
    assert start(bench, "--num-gpus", arguments(bench, "portable", "one")).wait() == [0]
    killed, whole = (
        torch.load(bench.folder / name / "model_final.pth", weights_only=True)["model"]
        for name in ("run", "one")
    )
    assert all(torch.equal(killed[name], whole[name]) for name in whole)


def test_slurm_on_two_machines(hosts: tuple[str, str], bench: Bench) -> None:
    step = {"SLURM_STEP_ID": "0", "SLURM_JOB_ID": "7", "SLURM_NTASKS": "2", "SLURM_LOCALID": "0"}
    step |= {"SLURM_STEP_TASKS_PER_NODE": "1(x2)", "SLURM_JOB_NODELIST": "10.93.0.[1-2]"}
    variables = [step | {"SLURM_PROCID": place, "SLURM_NODEID": place} for place in "01"]
    command = ["train_net.py", *arguments(bench, "portable", "run")]
    run = start_each(hosts, bench, [command, command], variables)
    assert run.wait() == [0, 0], run.said()
    assert "2 processes, started by SLURM" in (bench.folder / "run" / "log.txt").read_text()


def test_the_failure_on_one_machine_ends_the_other(hosts: tuple[str, str], bench: Bench) -> None:
    (bench.entry.image_root / "3.png").write_bytes(b"no image")
    run = start_on(hosts, bench, "run", *ENDLESS, "DATASETS.MAX_BROKEN_IMAGES", 0)
    assert run.wait() == [2, 2], run.said()
    own, others = sorted(run.errors(), key=len)
    assert "3.png: " in own
    assert (
        others == f"error: a process on another machine has failed: {own.removeprefix('error: ')}"
    )
    assert "Traceback" not in run.said()


def test_a_killed_machine_ends_the_other(hosts: tuple[str, str], bench: Bench) -> None:
    run = start_on(hosts, bench, "run", *ENDLESS)
    end = time.monotonic() + 300
    while "total_loss" not in run.said():
        assert time.monotonic() < end, run.said()
        time.sleep(0.2)
    run.processes[0].kill()
    assert run.wait()[1] == 2, run.said()
    [line] = run.errors()
    assert line == "error: a process on another machine has failed: machine 0 is gone"


@pytest.mark.parametrize("place", [0, 1])
def test_a_machine_that_never_comes(place: int, hosts: tuple[str, str], bench: Bench) -> None:
    present = (hosts[0], "") if place == 0 else ("", hosts[1])
    run = start_on(present, bench, "run", "--dist-timeout=3")
    assert run.wait() == [2], run.said()
    [line] = run.errors()
    missing = (
        "waited 3 s: machine 1 of 0-1 did not come; is the command running on every machine",
        f"nobody answers at {ADDRESSES[0]}:{PORT} after 3 s (",
    )
    assert line.startswith(f"error: {missing[place]}")
    assert not (bench.folder / "run").exists()


def test_gloo_gets_the_interface_that_leads_to_the_other(hosts: tuple[str, str]) -> None:
    probe = "from resnext_det.training.machine import name_interface as n; import os; "
    probe += f"n(('{ADDRESSES[0]}', 1)); print(os.environ['GLOO_SOCKET_IFNAME'])"
    for host in hosts:
        command = ["ip", "netns", "exec", host, sys.executable, "-c", probe]
        found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        assert found.stdout.strip() == host
