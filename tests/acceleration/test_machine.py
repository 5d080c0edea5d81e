"""What was found fastest is kept for this machine, and for no other."""

import json
import multiprocessing
import stat

import pytest
import torch

from resnext_det.acceleration import machine
from resnext_det.acceleration.setting import EXACT, Acceleration
from resnext_det.errors import UserError

CPU = torch.device("cpu")
FAST = Acceleration(precision="bfloat16", channels_last=True, fold_norms=True)


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "cache"))


def test_nothing_is_saved_at_first():
    assert machine.saved_acceleration(CPU, "inference") is None
    assert not machine.settings_file().exists()


def test_what_is_saved_is_found_again_for_its_use_alone():
    path = machine.save_acceleration(FAST, CPU, "inference", {"seconds": 0.5})
    assert path == machine.settings_file()
    assert machine.saved_acceleration(CPU, "inference") == FAST
    assert machine.saved_acceleration(CPU, "training") is None
    machine.save_acceleration(EXACT, CPU, "training")
    assert machine.saved_acceleration(CPU, "training") == EXACT
    assert machine.saved_acceleration(CPU, "inference") == FAST
    entry = json.loads(path.read_text())["machines"][machine.machine_name(CPU)]["inference"]
    assert entry["measured"] == {"seconds": 0.5}


def test_the_later_setting_counts():
    machine.save_acceleration(FAST, CPU, "inference")
    machine.save_acceleration(EXACT, CPU, "inference")
    assert machine.saved_acceleration(CPU, "inference") == EXACT


def test_the_file_is_in_the_cache_folder(tmp_path, monkeypatch):
    assert machine.settings_file() == tmp_path / "cache" / "acceleration" / "machine.json"
    machine.save_acceleration(FAST, CPU, "inference")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "other"))
    assert machine.saved_acceleration(CPU, "inference") is None


@pytest.mark.parametrize("other", ["torch", "processor"])
def test_it_counts_for_the_same_processor_and_torch_alone(other, monkeypatch):
    machine.save_acceleration(FAST, CPU, "inference")
    with monkeypatch.context() as patch:
        if other == "torch":
            patch.setattr(torch, "__version__", "99.0")
        else:
            patch.setattr(machine, "cpu_name", lambda: "Another 9000")
        assert machine.saved_acceleration(CPU, "inference") is None
        machine.save_acceleration(EXACT, CPU, "inference")
        assert machine.saved_acceleration(CPU, "inference") == EXACT
    assert machine.saved_acceleration(CPU, "inference") == FAST  # and has been left in place


def test_a_gpu_is_known_by_its_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"GPU {device.index}")
    names = [machine.machine_name(torch.device(f"cuda:{index}")) for index in (0, 1)]
    assert names == [f"cuda, GPU {i}, torch {torch.__version__}" for i in (0, 1)]


def broken(entry: object) -> str:
    machines = {machine.machine_name(CPU): {"inference": entry}}
    return json.dumps({"format": 1, "machines": machines})


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not JSON, or cut off"),
        ("", "not JSON, or cut off"),
        ("[1]", "holds no settings of machines"),
        ('{"format": 1, "machines": {"cpu": 3}}', "holds no settings of machines"),
        ('{"format": 2, "machines": {}}', "has format 2, not 1"),
        (broken(3), "an entry has no setting"),
        (broken({"setting": {"warp": True}}), "'warp' is not known"),
        (broken({"setting": {"precision": "int3"}}), "precision 'int3'"),
    ],
    ids=["cut", "empty", "list", "no modes", "later", "no setting", "unknown", "precision"],
)
def test_a_broken_file_is_named_with_how_to_mend_it(content, said):
    path = machine.settings_file()
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(UserError) as caught:
        machine.saved_acceleration(CPU, "inference")
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert said in message
    assert message.endswith(
        "remove machine.json, after which the built-in settings count until `resnext-det "
        "benchmark` writes it anew"
    )
    assert "\n" not in message


def test_a_broken_file_is_not_written_over():
    path = machine.settings_file()
    path.parent.mkdir(parents=True)
    path.write_text("{")
    for act in (machine.check_savable, lambda: machine.save_acceleration(FAST, CPU, "inference")):
        with pytest.raises(UserError, match="remove machine.json"):
            act()
    assert path.read_text() == "{"


def test_without_write_access_one_line_says_what_to_set(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESNEXT_DET_CACHE", str(tmp_path / "file"))
    for act in (machine.check_savable, lambda: machine.save_acceleration(FAST, CPU, "inference")):
        with pytest.raises(UserError, match="cannot be written .*set RESNEXT_DET_CACHE"):
            act()
    assert machine.saved_acceleration(CPU, "inference") is None  # nothing is there to be read


def test_others_may_read_the_file():
    path = machine.save_acceleration(FAST, CPU, "inference")
    assert stat.S_IMODE(path.stat().st_mode) == 0o644


def save_as(name: str) -> None:
    machine.cpu_name = lambda: name
    machine.save_acceleration(FAST, CPU, "inference")


def test_no_writer_undoes_another():
    names = [f"Processor {number}" for number in range(8)]
    with multiprocessing.get_context("fork").Pool(8) as pool:
        pool.map(save_as, names, chunksize=1)
    machines = json.loads(machine.settings_file().read_text())["machines"]
    assert sorted(machines) == [f"cpu, {name}, torch {torch.__version__}" for name in names]
