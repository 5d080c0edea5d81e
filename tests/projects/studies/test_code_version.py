"""Which sources a run is made by."""

import subprocess
from pathlib import Path

import pytest

from projects.studies import code_version as module
from projects.studies.code_version import CodeVersion, code_version, sources_digest


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    for name in ("modeling/resnet.py", "cli/train.py", "reports/html.py", "statistics/paired.py"):
        path = tmp_path / "resnext_det" / name
        path.parent.mkdir(parents=True)
        path.write_text("x = 1\n")
    return tmp_path


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false")
    given = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(given, check=True, capture_output=True, text=True).stdout.strip()


def test_sources_are_those_that_training_passes_through(checkout: Path) -> None:
    package = checkout / "resnext_det"
    first = sources_digest(package)
    assert len(first) == 64
    for name in ("cli/train.py", "reports/html.py", "statistics/paired.py"):
        (package / name).write_text("x = 2\n")
    (package / "modeling" / "notes.txt").write_text("no source")
    assert sources_digest(package) == first
    (package / "modeling" / "resnet.py").write_text("x = 2\n")
    changed = sources_digest(package)
    assert changed != first
    (package / "modeling" / "resnet.py").rename(package / "modeling" / "renamed.py")
    assert sources_digest(package) not in (first, changed)


def test_the_commit_says_whether_sources_were_changed(checkout: Path) -> None:
    assert code_version(checkout).commit is None
    git(checkout, "init", "-q")
    assert code_version(checkout).commit is None  # no commit yet
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "all")
    commit = git(checkout, "rev-parse", "HEAD")
    assert code_version(checkout).commit == commit
    (checkout / "resnext_det" / "reports" / "html.py").write_text("x = 2\n")
    (checkout / "notes.py").write_text("")
    assert code_version(checkout).commit == commit  # no source that is trained by
    (checkout / "resnext_det" / "modeling" / "resnet.py").write_text("x = 2\n")
    assert code_version(checkout).commit == f"{commit} with changes"
    git(checkout, "checkout", "resnext_det")
    (checkout / "resnext_det" / "modeling" / "new.py").write_text("")
    assert code_version(checkout).commit == f"{commit} with changes"


def test_a_copy_inside_another_repository_has_no_commit(checkout: Path) -> None:
    below = checkout / "below"
    (below / "resnext_det").mkdir(parents=True)
    git(checkout, "init", "-q")
    git(checkout, "add", ".")
    git(checkout, "commit", "-q", "-m", "all")
    assert code_version(below).commit is None


def test_without_git_there_is_no_commit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert code_version(checkout) == CodeVersion(
        code_version().package, sources_digest(checkout / "resnext_det"), None
    )


def test_it_comes_back_from_a_record() -> None:
    for version in (CodeVersion("1.0", "a", None), CodeVersion("", "b", "c with changes")):
        assert CodeVersion.from_json(version.to_json()) == version


def test_words_name_sources_and_commit() -> None:
    commit = "0123456789abcdef"
    assert str(CodeVersion("", "f" * 64, None)) == "sources ffffffffffff (no commit)"
    assert str(CodeVersion("", "f" * 64, commit)) == "sources ffffffffffff (commit 0123456789ab)"
    changed = CodeVersion("", "f" * 64, f"{commit} with changes")
    assert str(changed) == "sources ffffffffffff (commit 0123456789ab with changes)"


def test_a_script_can_ask_whether_the_sources_are_still_the_same(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert module.main(code_version().sources) == 0
    assert module.main("0" * 64) == 2
    assert "but 000000000000 began" in capsys.readouterr().err
