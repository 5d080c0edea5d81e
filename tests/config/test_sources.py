"""Finding and reading config files, in a checkout and as installed."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from resnext_det.config import config_root, find_config
from resnext_det.config.sources import read_yaml
from resnext_det.errors import UserError

REPOSITORY = Path(__file__).resolve().parents[2]


def refusal(function, *args) -> str:
    with pytest.raises(UserError) as error:
        function(*args)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_in_a_checkout_the_scheme_means_configs():
    assert config_root() in (REPOSITORY / "configs", REPOSITORY / "resnext_det" / "_configs")
    assert find_config("resnext_det://Base-RCNN-FPN.yaml").is_file()


def test_as_installed_the_scheme_means_the_packages_own_copy(tmp_path):
    shutil.copytree(REPOSITORY / "resnext_det" / "config", tmp_path / "resnext_det" / "config")
    shutil.copytree(REPOSITORY / "configs", tmp_path / "resnext_det" / "_configs")
    for name in ("__init__.py", "errors.py"):
        (tmp_path / "resnext_det" / name).write_text(
            (REPOSITORY / "resnext_det" / name).read_text() if name == "errors.py" else ""
        )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from resnext_det.config import config_root, load_config\n"
        "cfg = load_config('resnext_det://COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml').cfg\n"
        "print(config_root(), cfg.SOLVER.MAX_ITER)"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.split() == [str(tmp_path / "resnext_det" / "_configs"), "270000"]


def test_relative_and_home_paths(tmp_path, monkeypatch):
    (tmp_path / "a.yaml").write_text("")
    assert find_config("a.yaml", tmp_path) == tmp_path / "a.yaml"
    assert find_config("sub/../a.yaml", tmp_path) == tmp_path / "a.yaml"
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_config("~/a.yaml") == tmp_path / "a.yaml"
    monkeypatch.chdir(tmp_path)
    assert find_config("a.yaml").is_file()


def test_a_missing_file_names_the_nearest(tmp_path):
    for name in ("faster_rcnn_R_50.yaml", "faster_rcnn_R_101.yaml", "notes.txt"):
        (tmp_path / name).write_text("")
    message = refusal(find_config, str(tmp_path / "faster_rcnn_R_51.yaml"))
    assert message.startswith(f"no config file {tmp_path}/faster_rcnn_R_51.yaml; nearest there: ")
    assert "faster_rcnn_R_50.yaml" in message
    assert "notes" not in message


def test_a_missing_file_like_no_other(tmp_path):
    assert refusal(find_config, str(tmp_path / "a.yaml")) == f"no config file {tmp_path}/a.yaml"


def test_a_missing_installed_config_names_the_nearest():
    message = refusal(find_config, "resnext_det://COCO-Detection/faster_rcnn_X_50_FPN_1x.yaml")
    assert "faster_rcnn_X_50_32x4d_FPN_1x.yaml" in message.split("nearest there: ")[1]


def test_away_from_the_checkout_the_installed_name_is_given(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = refusal(find_config, "configs/Base-RCNN-FPN.yaml")
    expected = (
        "no config file configs/Base-RCNN-FPN.yaml; resnext_det://Base-RCNN-FPN.yaml is installed"
    )
    assert message == expected


def test_a_missing_folder(tmp_path):
    message = refusal(find_config, str(tmp_path / "none" / "a.yaml"))
    assert message == f"no config file {tmp_path}/none/a.yaml: there is no folder {tmp_path}/none"


def test_a_folder_is_no_file(tmp_path):
    assert refusal(find_config, str(tmp_path)) == f"{tmp_path} is a folder, not a config file"


def test_an_address_is_no_file():
    message = refusal(find_config, "https://example.org/a.yaml")
    assert message == "https://example.org/a.yaml: a config is read from a file; download it first"


@pytest.mark.parametrize("text", ["", "# only words\n", "---\n"])
def test_an_empty_file_has_no_keys(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    assert read_yaml(tmp_path / "a.yaml") == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"SEED: [1\n", "line 2: not plain YAML"),
        (b"SEED: 1\nSEED: 2\n", "line 2: not plain YAML: SEED is written twice"),
        (b"A:\n  B: 1\n  B: 2\n", "line 3: not plain YAML: B is written twice"),
        (b"SEED: !!python/object/apply:os.getpid []\n", "line 1: not plain YAML"),
        (b"SEED: \x00\n", "not plain YAML"),
        (b"\xff\xfe\x00", "not a text file in UTF-8"),
        (b"- 1\n- 2\n", "holds a list, not config keys"),
        (b"words\n", "holds a str, not config keys"),
        (b"? [a, b]\n: 1\n", "not plain YAML"),
    ],
)
def test_what_is_no_config_is_refused(tmp_path, content, message):
    path = tmp_path / "a.yaml"
    path.write_bytes(content)
    said = refusal(read_yaml, path)
    assert said.startswith(f"{path}:")
    assert message in said
