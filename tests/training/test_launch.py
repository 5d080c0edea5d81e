"""Starting processes, and what comes back when one fails. Engine-neutral."""

import argparse
import atexit
import ctypes
import os
import signal
import socket
import threading
import time

import pytest
import torch

from resnext_det.cli.errors import report_errors
from resnext_det.errors import UserError
from resnext_det.training import distributed
from resnext_det.training.launch import TORCHRUN_VARIABLES, launch
from resnext_det.training.place import Request

TWO = Request(num_gpus=2)


def refuse() -> None:
    raise UserError("only this line")


def refuse_in_one() -> None:
    """The other waits for a process that is no more."""
    if distributed.rank() == 1:
        raise UserError("only this line")
    distributed.barrier()


def diverge() -> None:
    raise FloatingPointError("iteration 3: loss_cls not finite")


def die() -> None:
    if distributed.rank() == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    distributed.barrier()


def crash() -> None:
    if distributed.rank() == 1:
        os.abort()
    distributed.barrier()


def leave_late() -> None:
    """Leaves something to be done at the end: by a thread, with atexit, and by C's streams."""
    distributed.barrier()
    if distributed.rank() == 1:
        atexit.register(print, "registered")
        ctypes.CDLL(None).puts(b"C's own")
        threading.Timer(1.0, print, ["a thread's"]).start()


def crash_in_a_library() -> None:
    """Ends in a thread that Python knows nothing of."""
    distributed.barrier()
    if distributed.rank() == 1:
        libc = ctypes.CDLL(None)
        libc.pthread_create(
            ctypes.byref(ctypes.c_ulong()), None, ctypes.cast(libc.abort, ctypes.c_void_p), None
        )
        time.sleep(600)


def be_interrupted_twice() -> None:
    distributed.barrier()
    if distributed.rank() == 1:
        try:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(600)
        except KeyboardInterrupt:
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.2)
            print("ends undisturbed", flush=True)
            raise


def break_down() -> None:
    if distributed.rank() == 1:
        raise ZeroDivisionError("a fault of ours")
    time.sleep(600)


@pytest.fixture(autouse=True)
def _no_other_starter(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [*TORCHRUN_VARIABLES, *(n for n in os.environ if "SLURM" in n)]:
        monkeypatch.delenv(name, raising=False)
    yield
    distributed.about()


@pytest.mark.parametrize("body", [pytest.param(refuse, marks=pytest.mark.slow), refuse_in_one])
def test_a_user_error_in_a_process_comes_back_as_one(body):
    with pytest.raises(UserError, match=r"^only this line$"):
        launch(body, TWO)


@pytest.mark.slow
def test_a_diverged_process_comes_back_as_one_line_and_status_3(capsys):
    verb = lambda args: launch(diverge, TWO) or 0  # noqa: E731
    assert report_errors(verb, argparse.Namespace()) == 3
    assert capsys.readouterr().err == "error: iteration 3: loss_cls not finite\n"


def test_a_killed_process_is_named():
    with pytest.raises(UserError, match=r"^the process of rank 1 was killed by SIGKILL \(out of"):
        launch(die, TWO)


def test_a_crash_is_told_with_the_line_that_it_was_at(capfd):
    line = r"^the process of rank 1 was killed by SIGABRT at test_launch\.py:\d+, in crash$"
    with pytest.raises(UserError, match=line):
        launch(crash, TWO)
    told = capfd.readouterr().err
    assert "Fatal Python error: Aborted" in told
    assert "children.py" in told  # all the way


@pytest.mark.slow
def test_a_crash_in_a_library_is_not_laid_to_a_line_of_python(capfd):
    with pytest.raises(UserError, match=r"was killed by SIGABRT in a thread of a library$"):
        launch(crash_in_a_library, TWO)
    assert "in crash_in_a_library" in capfd.readouterr().err


@pytest.mark.slow
def test_a_second_interrupt_does_not_disturb_a_process_that_ends(capfd):
    with pytest.raises(KeyboardInterrupt):
        launch(be_interrupted_twice, TWO)
    assert capfd.readouterr().out == "ends undisturbed\n"


@pytest.mark.slow
def test_what_is_registered_for_the_end_of_a_process_is_done(capfd):
    launch(leave_late, TWO)
    assert sorted(capfd.readouterr().out.split("\n")) == ["", "C's own", "a thread's", "registered"]


@pytest.mark.slow
def test_a_fault_of_ours_comes_back_with_its_traceback_and_ends_the_others():
    began = time.monotonic()
    with pytest.raises(RuntimeError, match=r"(?s)Traceback .*ZeroDivisionError: a fault of ours"):
        launch(break_down, TWO)
    assert time.monotonic() - began < 300


@pytest.mark.parametrize("num_gpus", [0, 1])
def test_one_process_runs_here(num_gpus):
    assert launch(os.getpid, Request(num_gpus=num_gpus)) == os.getpid()


def test_torchruns_environment_is_honoured_before_slurms(monkeypatch):
    variables = {"RANK": "0", "WORLD_SIZE": "1", "LOCAL_RANK": "0", "MASTER_PORT": str(port())}
    slurm = {"SLURM_PROCID": "1", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4"}
    for name, value in {**variables, **slurm, "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    assert launch(torch.distributed.is_initialized, Request(num_gpus=8)) is True
    assert not torch.distributed.is_initialized()
    [line] = distributed.about_lines()
    assert line.startswith("1 processes, started by RANK and WORLD_SIZE (which stands above --num")
    assert line.endswith(f"talk by gloo ({socket.gethostname()}: rank 0)")


def test_a_batch_script_that_forgot_srun_is_told(monkeypatch):
    monkeypatch.setenv("SLURM_PROCID", "0")
    monkeypatch.setenv("SLURM_NTASKS", "4")
    assert launch(os.getpid, Request()) == os.getpid()
    expected = "SLURM has 4 tasks for this job, but srun did not start this process: one runs"
    assert distributed.about_lines() == [expected]


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"num_gpus": -1}, "--num-gpus -1: it must be 0 or more"),
        ({"num_machines": 0}, "--num-machines 0: it must be 1 or more"),
        ({"num_machines": 2}, "needs --dist-url"),
        ({"num_machines": 2, "machine_rank": 2, "dist_url": "tcp://h:1"}, "--machine-rank 2"),
        ({"num_machines": 2, "dist_url": "h:1"}, "--dist-url h:1: it must be tcp://HOST:PORT"),
        ({"num_gpus": 2, "dist_url": "tcp://h:0"}, "--dist-url tcp://h:0: it must be tcp://HOST"),
    ],
)
def test_numbers_that_cannot_be(numbers, message):
    with pytest.raises(UserError, match=message):
        launch(refuse, Request(**numbers))


def test_more_processes_than_gpus(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match="--num-gpus 2: this machine has 1"):
        launch(refuse, Request(num_gpus=2, on_gpus=True))


def test_a_port_in_use_is_said_at_once(capfd):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        taken = listener.getsockname()[1]
        request = Request(num_gpus=2, dist_url=f"tcp://127.0.0.1:{taken}")
        with pytest.raises(UserError, match=f"^--dist-url .*: port {taken} is in use on this"):
            launch(refuse, request)
    assert capfd.readouterr().err == ""


def test_a_machine_that_does_not_come_is_named(capfd):
    url = f"tcp://127.0.0.1:{port()}"
    request = Request(num_machines=2, machine_rank=0, dist_url=url, timeout=1)
    with pytest.raises(UserError, match=r"^waited 1 s: machine 1 of 0-1 did not come; is the"):
        launch(refuse, request)
    request = Request(num_machines=2, machine_rank=1, dist_url=url, timeout=1)
    with pytest.raises(UserError, match=r"^nobody answers at 127.0.0.1:\d+ after 1 s \(Connection"):
        launch(refuse, request)
    assert capfd.readouterr().err == ""


def port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


WRONG_VARIABLES = {
    "LOCAL_RANK": ("x", "LOCAL_RANK is 'x': a process among several needs a number there"),
    "MASTER_PORT": ("29x", "MASTER_PORT is '29x': a process among several needs a number there"),
    "RANK": ("3", "RANK is 3, but WORLD_SIZE 2: ranks count from 0"),
}


@pytest.mark.parametrize("name", WRONG_VARIABLES)
def test_torchruns_variables_have_to_be_numbers(name, monkeypatch):
    values = ("0", "2", "0", "127.0.0.1", "29500")
    for variable, value in zip(TORCHRUN_VARIABLES, values, strict=True):
        monkeypatch.setenv(variable, value)
    wrong, message = WRONG_VARIABLES[name]
    monkeypatch.setenv(name, wrong)
    with pytest.raises(UserError, match=message):
        launch(refuse, Request())


def test_a_part_of_torchruns_variables_is_refused(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="but LOCAL_RANK, MASTER_ADDR, MASTER_PORT not: set all"):
        launch(refuse, Request())


def test_each_process_keeps_its_freed_memory_once(monkeypatch):
    calls = []
    monkeypatch.setattr("resnext_det.training.launch.keep_freed_memory", lambda: calls.append(1))
    assert launch(int, Request(), ("7",)) == 7
    assert calls == [1]
