"""What the command imports before it needs to: by what is in `sys.modules`, never by time."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from resnext_det.cli import VERBS

REPOSITORY = Path(__file__).parents[2]
# Everything that is imported meanwhile and is neither Python's nor this package's.
PROGRAM = """
import json, runpy, sys
before = set(sys.modules)
script, *sys.argv[1:] = sys.argv[1:]
run = runpy.run_path if script.endswith(".py") else runpy.run_module
try:
    run(script, run_name="__main__")
except SystemExit as ended:
    status = ended.code
names = {name.partition(".")[0] for name in set(sys.modules) - before}
ours = {"resnext_det", "__mp_main__"}  # the latter is multiprocessing's name of this program
foreign = names - ours - set(sys.stdlib_module_names)
print("\\n" + json.dumps([status, sorted(foreign)]))
"""
KINDS = ("imagenet-1k", "imagenet-5k", "cifar10", "cifar100", "folder", "shards")
ACTIONS = ("inspect", "convert", "verify", "diff", "list", "fetch")
HELPS = [
    (),
    *((verb,) for verb in VERBS),
    ("dataset", "check"),
    ("dataset", "convert"),
    ("dataset", "prepare"),
    *(("dataset", "prepare", kind) for kind in KINDS),
    *(("weights", action) for action in ACTIONS),
]
TYPOS = [
    ("waits",),
    ("weights", "inspekt"),
    ("train", "--confg-file", "a.yaml"),
    ("train",),
    ("design", "--depth", "many"),
    ("weights", "diff", "a", "b", "--tolerance", "-1"),
    ("weights", "inspect", "nothing.pth"),
    ("weights", "verify", "nothing.pth"),
    ("weights", "diff", "nothing.pth", "b.pth"),
    ("weights", "convert", "nothing.pth", "b.pth", "--to", "timm"),
    ("export", "nothing.pth", "-o", "model.onnx"),
    ("export", "nothing.pth", "-o", "model.txt"),
    ("export", "nothing.pth", "-o", "model.onnx", "--fixed", "8"),
    ("predict", "nothing.pth", "a.jpg", "-o", "out"),
    ("benchmark", "nothing.pth"),
    ("benchmark", "--image", "8"),
    ("benchmark", "--settings", "warp"),
    ("dataset", "convert", "nothing", "-o", "a.json"),
    ("dataset", "convert", ".", "-o", "a.txt"),
    ("report", "nothing.json"),
    ("reproduce", "nothing"),
]
# These know configs, which are YAML.
CONFIG_TYPOS = [
    ("train", "--config-file", "nothing.yaml"),
    ("benchmark", "--config-file", "nothing.yaml"),
    ("complexity", "nothing.yaml"),
    ("complexity", "resnext50"),
    ("weights", "list", "resnext50"),
]
CONFIG_LIBRARIES = {"fvcore", "iopath", "portalocker", "tabulate", "termcolor", "yacs", "yaml"}


def spelled(words: tuple[str, ...]) -> str:
    return " ".join(words) or "alone"


def started(script: str, *words: str) -> tuple[int, set[str], str]:
    """The exit status, the libraries that were imported, and what was said of a mistake."""
    finished = subprocess.run(
        [sys.executable, "-c", PROGRAM, script, *words],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=300,
    )
    status, foreign = json.loads(finished.stdout.splitlines()[-1])
    return status, set(foreign), finished.stderr


@pytest.mark.parametrize("words", HELPS, ids=spelled)
def test_help_imports_no_library(words: tuple[str, ...]) -> None:
    assert started("resnext_det", *words, "--help") == (0, set(), "")


def test_help_of_the_script_imports_no_library() -> None:
    assert started("train_net.py", "--help") == (0, set(), "")


@pytest.mark.parametrize("words", TYPOS, ids=spelled)
def test_a_mistake_in_the_command_is_answered_without_a_library(words: tuple[str, ...]) -> None:
    status, foreign, said = started("resnext_det", *words)
    assert (status, foreign) == (2, set())
    assert "error: " in said.splitlines()[-1]


@pytest.mark.parametrize("words", CONFIG_TYPOS, ids=spelled)
def test_a_mistyped_name_is_answered_without_torch(words: tuple[str, ...]) -> None:
    status, foreign, said = started("resnext_det", *words)
    assert status == 2
    assert {name for name in foreign if "cython" not in name} <= CONFIG_LIBRARIES
    assert said.startswith("error: no ")
    assert said.count("\n") == 1


def test_variants_are_named_without_torch() -> None:
    code = (
        "import sys, resnext_det; from resnext_det.modeling import list_variants;"
        "assert resnext_det.list_variants() == list_variants() != ();"
        "assert not {'torch', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True, timeout=300)


def test_networks_are_there_as_before() -> None:
    from resnext_det import modeling

    assert all(getattr(modeling, name) for name in modeling.__all__)
    assert set(modeling.__all__) <= set(dir(modeling))
    with pytest.raises(AttributeError, match=r"'resnext_det\.modeling' has no attribute 'nothing'"):
        _ = modeling.nothing


def test_each_verb_has_a_module_of_its_own_name() -> None:
    folder = REPOSITORY / "resnext_det" / "cli" / "verbs"
    places = {name: f"resnext_det.cli.verbs.{name}" for name in VERBS}
    assert {name: verb.module for name, verb in VERBS.items()} == places
    assert all((folder / f"{name}.py").is_file() for name in VERBS)
    assert list(VERBS) == sorted(VERBS)
