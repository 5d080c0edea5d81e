"""What runs or unpacks a stranger's file is called in places that are named here, and nowhere else.

A call is known by its name alone, which is enough for code that wants no such call.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[1]
FOLDERS = ("resnext_det", "projects", "tools")
SOURCES = [REPOSITORY / "train_net.py"] + [
    path for folder in FOLDERS for path in sorted((REPOSITORY / folder).rglob("*.py"))
]
PICKLE = {"load", "loads", "Unpickler"}
FORBIDDEN = {
    "pickle": PICKLE,
    "cPickle": PICKLE,
    "dill": PICKLE,
    "cloudpickle": PICKLE,
    "joblib": {"load"},
    "marshal": {"load", "loads"},
    "shelve": {"open"},
    "yaml": {
        *("load", "load_all", "full_load", "full_load_all", "unsafe_load", "unsafe_load_all"),
        *("Loader", "CLoader", "FullLoader", "UnsafeLoader"),
    },
    "os": {"system", "popen"},
    "subprocess": {"getoutput", "getstatusoutput"},
    "runpy": {"run_path", "run_module"},
    "LazyConfig": {"load", "load_rel"},
    "Image": {"open"},
    "shutil": {"unpack_archive"},
}
BUILT_IN = {"eval", "exec", "compile", "__import__"}
ALLOWED = {
    ("resnext_det/data/packed.py", "pickle.loads"): "bytes that it has made itself",
    ("resnext_det/weights/config_texts.py", "yaml.load"): "its loader is a SafeLoader",
    ("resnext_det/data/pillow_opening.py", "Image.open"): "names the formats, checks the size",
    ("resnext_det/engines/d2/lazy_file.py", "LazyConfig.load"): "code, as SECURITY.md says",
    ("resnext_det/reports/page_file.py", "Markup of a value"): "the package's own style and mark",
    ("resnext_det/reports/svg.py", "Markup of a value"): "matplotlib's, which escapes labels",
    ("projects/OtherDetectors/launch.py", "runpy.run_path"): "another detector's own script",
    ("projects/OtherDetectors/launch.py", "import_module of a value"): "a name of its table",
    ("resnext_det/cli/__init__.py", "import_module of a value"): "a name of its table of verbs",
    ("resnext_det/export/packages.py", "import_module of a value"): "names that its callers write",
}


def calls_of(source: str) -> Iterator[str]:
    """Yields the names of what must not be done that a file does."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module in FORBIDDEN:
            for name in node.names:
                if name.name in FORBIDDEN[node.module]:
                    yield f"{node.module}.{name.name}"
        elif isinstance(node, ast.Attribute) and node.attr in FORBIDDEN.get(_name(node.value), ()):
            yield f"{_name(node.value)}.{node.attr}"
        if isinstance(node, ast.Call):
            yield from _of_call(node)


def _of_call(node: ast.Call) -> Iterator[str]:
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    given = {word.arg: word.value for word in node.keywords}
    of_torch = isinstance(node.func, ast.Attribute) and _name(node.func.value) == "torch"
    if isinstance(node.func, ast.Name) and name in BUILT_IN:
        yield name
    if name == "load" and of_torch and not _is(given.get("weights_only"), True):
        yield "torch.load without weights_only=True"
    if "allow_pickle" in given and not _is(given["allow_pickle"], False):
        yield "allow_pickle"
    if "shell" in given and not _is(given["shell"], False):
        yield "shell"
    if name in ("extractall", "extract"):
        yield name
    if name == "Environment" and not _is(given.get("autoescape"), True):
        yield "Environment without autoescape=True"
    if name in ("Markup", "import_module") and not _is_text(node.args):
        yield f"{name} of a value"


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else ""


def _is(node: ast.expr | None, value: bool) -> bool:
    return isinstance(node, ast.Constant) and node.value is value


def _is_text(arguments: list[ast.expr]) -> bool:
    """A constant, or none; a formatted string holds values."""
    return all(isinstance(part, ast.Constant) for part in arguments)


def found_in_all() -> set[tuple[str, str]]:
    return {
        (path.relative_to(REPOSITORY).as_posix(), call)
        for path in SOURCES
        for call in calls_of(path.read_text("utf-8"))
    }


def test_only_the_places_named_here() -> None:
    assert found_in_all() == set(ALLOWED)


UNSAFE = ("<script", "javascript:", "|safe", "| safe", "autoescape", " onclick", " onload")


def test_templates_have_no_script_and_switch_no_escaping_off() -> None:
    templates = sorted((REPOSITORY / "resnext_det").rglob("*.j2"))
    assert templates
    for path in templates:
        text = path.read_text("utf-8").lower()
        assert not [word for word in UNSAFE if word in text], path.name


@pytest.mark.parametrize(
    ("source", "call"),
    [
        ("eval(text)", "eval"),
        ("import pickle\npickle.load(file)", "pickle.load"),
        ("from pickle import loads", "pickle.loads"),
        ("yaml.load(text, Loader=yaml.Loader)", "yaml.Loader"),
        ("yaml.unsafe_load(text)", "yaml.unsafe_load"),
        ("torch.load(path)", "torch.load without weights_only=True"),
        ("torch.load(path, weights_only=False)", "torch.load without weights_only=True"),
        ("np.load(path, allow_pickle=True)", "allow_pickle"),
        ("subprocess.run(text, shell=True)", "shell"),
        ("os.system(text)", "os.system"),
        ("archive.extractall(folder)", "extractall"),
        ("Environment(loader=loader)", "Environment without autoescape=True"),
        ("Markup(f'<b>{name}</b>')", "Markup of a value"),
        ("importlib.import_module(name)", "import_module of a value"),
        ("Image.open(path)", "Image.open"),
    ],
    ids=lambda value: value.splitlines()[-1],
)
def test_each_is_seen(source: str, call: str) -> None:
    assert call in set(calls_of(source))


@pytest.mark.parametrize(
    "source",
    [
        "re.compile(text)",
        "model.eval()",
        "torch.load(path, weights_only=True)",
        "yaml.safe_load(text)",
        "Markup('<b>{}</b>').format(name)",
        "subprocess.run([text])",
        "np.load(path, allow_pickle=False)",
    ],
)
def test_what_is_harmless_is_not(source: str) -> None:
    assert not set(calls_of(source))
