"""The audit of packages: something known, nothing known, nobody to ask. Engine-neutral."""

import json
import sys
from pathlib import Path

import pytest

from tools import audit

SOUND = {"name": "torch", "version": "2.15.0", "vulns": []}
WEAK = {
    "name": "pillow",
    "version": "13.0.0",
    "vulns": [{"id": "CVE-1", "fix_versions": ["13.0.1", "14.0.0"]}],
}
UNKNOWN = {"name": "torchfile", "skip_reason": "Dependency not found"}


def stand_in(folder: Path, *answers, stderr="", status=0) -> list[str]:
    """A command that answers as pip-audit would, and keeps what it was asked."""
    script = folder / "pip_audit.py"
    stdout = json.dumps({"dependencies": [*answers], "fixes": []}) if answers else ""
    script.write_text(
        "import pathlib, sys\n"
        f"here = pathlib.Path({str(folder)!r})\n"
        "file = sys.argv[sys.argv.index('-r') + 1]\n"
        "(here / 'asked.txt').write_text(pathlib.Path(file).read_text())\n"
        "(here / 'words.txt').write_text(' '.join(sys.argv))\n"
        f"print({stdout!r})\n"
        f"print({stderr!r}, file=sys.stderr)\n"
        f"sys.exit({status})\n"
    )
    return [sys.executable, str(script)]


def test_nothing_is_known(tmp_path, capsys):
    assert audit.main(stand_in(tmp_path, SOUND, UNKNOWN), {"nvidia_nvtx": "13.2+x"}) == 0
    printed = capsys.readouterr()
    assert printed.out == (
        "audit: 1 packages looked at, 1 not known to the service: 0 known weaknesses\n"
    )
    assert printed.err == ""
    asked = (tmp_path / "asked.txt").read_text().split()
    assert "nvidia-nvtx==13.2" in asked
    assert [line for line in asked if line.startswith("pyyaml==")]
    assert len({line.partition("==")[0] for line in asked}) == len(asked)
    assert not any("resnext" in line or "detectron" in line or "+" in line for line in asked)


def test_something_is_known(tmp_path, capsys):
    assert audit.main(stand_in(tmp_path, SOUND, WEAK, status=1), {}) == 1
    printed = capsys.readouterr()
    assert printed.out == "audit: 2 packages looked at: 1 known weaknesses\n"
    assert printed.err == "  pillow 13.0.0: CVE-1, mended in 13.0.1, 14.0.0\n"


@pytest.mark.parametrize(
    "stderr",
    [
        "requests.exceptions.ConnectionError: Max retries exceeded (Name or service not known)",
        "ERROR:pip_audit._cli:Could not connect to the vulnerability feed",
        "requests.exceptions.ReadTimeout: Read timed out.",
        "requests.exceptions.HTTPError: 503 Server Error\n\npip_audit._service.ServiceError",
    ],
    ids=["no route", "refused", "late", "down"],
)
def test_nobody_answers(stderr, tmp_path, capsys):
    assert audit.main(stand_in(tmp_path, stderr=stderr, status=1), {}) == 0
    printed = capsys.readouterr()
    assert printed.out.startswith("audit: NOT AUDITED, nobody could be asked about ")
    assert printed.out.rstrip().endswith(stderr.splitlines()[-1])
    assert len(printed.out.splitlines()) == 1


def test_an_index_without_advisories(tmp_path, capsys):
    assert audit.main(stand_in(tmp_path, UNKNOWN), {}) == 0
    assert "NOT AUDITED" in capsys.readouterr().out


def test_a_network_that_swallows_everything(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(audit, "SECONDS", 0.01)
    assert audit.main([sys.executable, "-c", "import time; time.sleep(60)"]) == 0
    assert "no answer within 0.01 s" in capsys.readouterr().out


def test_a_fault_of_ours_is_no_silence(tmp_path, capsys):
    stderr = "pip-audit: error: unrecognized arguments: --desk"
    assert audit.main(stand_in(tmp_path, stderr=stderr, status=2), {}) == 2
    assert capsys.readouterr().err == f"audit: cannot look: {stderr}\n"


def test_advisories_that_are_passed_over(tmp_path, capsys, monkeypatch):
    ignored = tmp_path / "ignored.txt"
    monkeypatch.setattr(audit, "IGNORED", ignored)
    ignored.write_text("# why\nCVE-9 only on Windows\n")
    assert audit.main(stand_in(tmp_path, SOUND), {}) == 0
    assert "1 advisories passed over (see ignored.txt)" in capsys.readouterr().out
    assert "--ignore-vuln CVE-9" in (tmp_path / "words.txt").read_text()
    ignored.write_text("CVE-9\n")
    assert audit.main(stand_in(tmp_path, SOUND), {}) == 2
    assert "ignored.txt: CVE-9 stands there without a reason" in capsys.readouterr().err


def test_the_list_of_the_repository_has_reasons():
    audit.read_ignored(audit.IGNORED.read_text())


def test_pins_and_what_is_installed_beside_them():
    installed = {"Torch": "2.15.0+cu132", "nvidia_nvtx": "13.2", "Jinja2": "3.0", "detectron2": "0"}
    assert audit.packages("# a\n\ntorch==2.15.0\nJinja2==3.1\n", installed) == [
        ["jinja2==3.1", "nvidia-nvtx==13.2", "torch==2.15.0"],
        ["jinja2==3.0"],
    ]
    assert audit.packages("torch==2.15.0\n", {"torch": "2.15.0"}) == [["torch==2.15.0"]]


def test_an_index_that_is_silent_while_installing(tmp_path, monkeypatch):
    words = "ERROR: No matching distribution found for pip-audit==2.10.1"

    class Failed:
        returncode, stderr = 1, words

    monkeypatch.setattr(audit, "run", lambda _: Failed)
    with pytest.raises(audit.NotAskedError, match="No matching distribution"):
        audit.install(tmp_path / "audit")


def test_what_is_installed_already_is_taken(tmp_path, monkeypatch):
    monkeypatch.setattr(audit, "run", lambda command: pytest.fail(f"{command}"))
    (tmp_path / "installed.txt").write_text(audit.TOOL.read_text())
    assert audit.install(tmp_path)[1:] == ["-m", "pip_audit"]


def test_the_tool_is_pinned_with_all_it_needs():
    lines = [line for line in audit.TOOL.read_text().splitlines() if not line.startswith("#")]
    assert all(line.count("==") == 1 and "/" not in line for line in lines)
    assert any(line.startswith("pip-audit==") for line in lines)
