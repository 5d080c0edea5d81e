"""The contracts that hold the package together: who may import what, and how long a file gets."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
MODULES = sorted((REPOSITORY / "resnext_det").rglob("*.py"))
SCRIPTS = [*sorted((REPOSITORY / "projects").rglob("*.py")), REPOSITORY / "train_net.py"]
DETECTRON2_FOLDER = REPOSITORY / "resnext_det" / "engines" / "d2"
MAX_FILE_LINES = 400
MAX_FUNCTION_LINES = 60
MAX_ENTRY_POINT_LINES = 120


def path_name(path: Path) -> str:
    return path.relative_to(REPOSITORY).as_posix()


def neutral_module_names() -> list[str]:
    names = []
    for path in MODULES:
        if DETECTRON2_FOLDER not in path.parents and path.name != "__main__.py":
            parts = path.relative_to(REPOSITORY).with_suffix("").parts
            names.append(".".join(part for part in parts if part != "__init__"))
    return names


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, timeout=300
    )


def test_neutral_modules_import_with_detectron2_blocked() -> None:
    # None in sys.modules makes every import of that name fail. All modules in one process: torch
    # takes seconds to import, and an import that another module hid would fail all the same.
    code = f"""
import importlib, sys
sys.modules["detectron2"] = None
for name in {neutral_module_names()!r}:
    importlib.import_module(name)
"""
    finished = run_python(code)
    assert finished.returncode == 0, finished.stderr


def test_importing_the_package_starts_nothing_heavy() -> None:
    heavy = ("detectron2", "timm", "sklearn", "matplotlib.pyplot", "tensorboard")
    code = f"import resnext_det, sys; print([m for m in {heavy!r} if m in sys.modules])"
    finished = run_python(code)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == "[]"


@pytest.mark.parametrize("path", MODULES, ids=path_name)
def test_module_says_what_it_holds_and_whose_it_is(path: Path) -> None:
    docstring = ast.get_docstring(ast.parse(path.read_text()))
    assert docstring, "a module opens with a docstring"
    if path.name not in ("__init__.py", "__main__.py"):
        first_paragraph = docstring.split("\n\n")[0].lower()
        assert any(word in first_paragraph for word in ("engine-neutral", "portable", "detectron2"))


@pytest.mark.parametrize("path", MODULES + SCRIPTS, ids=path_name)
def test_files_and_functions_are_short(path: Path) -> None:
    source = path.read_text()
    assert len(source.splitlines()) <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            assert body_lines(node) <= MAX_FUNCTION_LINES, node.name


def body_lines(function: ast.FunctionDef) -> int:
    """Lines from the first statement after the docstring to the last."""
    statements = function.body[1:] if ast.get_docstring(function) else function.body
    if not statements:
        return 0
    return (statements[-1].end_lineno or 0) - statements[0].lineno + 1


def test_entry_point_is_thin() -> None:
    source = (REPOSITORY / "train_net.py").read_text()
    assert len(source.splitlines()) <= MAX_ENTRY_POINT_LINES


@pytest.mark.parametrize("name", ["utils.py", "misc.py", "helpers.py"])
def test_no_drawer_for_everything(name: str) -> None:
    assert not [path for path in MODULES if path.name == name]


def test_one_file_names_detectron2s_commit() -> None:
    commit = (REPOSITORY / "requirements-detectron2.txt").read_text().rsplit("@", 1)[1].strip()
    assert len(commit) == 40
    assert commit not in (REPOSITORY / "pyproject.toml").read_text()
    assert commit not in (REPOSITORY / "tools" / "setup.sh").read_text()


def test_constraints_are_plain_pins() -> None:
    lines = (REPOSITORY / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    names = [pin.split("==")[0].lower().replace("_", "-") for pin in pins]
    assert all(pin.count("==") == 1 and " " not in pin and "/" not in pin for pin in pins)
    assert len(set(names)) == len(names)
    assert {"torch", "torchvision", "numpy", "setuptools", "pytest"} <= set(names)
