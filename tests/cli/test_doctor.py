"""`resnext-det doctor`: what it prints and writes, and its exit statuses."""

import io
import json

import pytest
from rich.console import Console

from resnext_det.cli import doctor, main
from resnext_det.doctor.examine import Examination
from resnext_det.doctor.findings import fine, note, problem


def found(*findings):
    return Examination([("subject", finding) for finding in findings], 0.25)


@pytest.fixture
def examined(monkeypatch):
    """Returns a function that says what the next look finds, and a list of who was looked at."""
    seen = []

    def prepare(*findings):
        def examine(patient):
            seen.append(patient)
            return found(*findings)

        monkeypatch.setattr(doctor, "examine", examine)
        return seen

    return prepare


FINE, NOTE, PROBLEM = (
    fine("a", "well", number=3),
    note("b", "odd", "Leave it"),
    problem("c", "bad\x1b[31m", "Mend it"),
)


@pytest.mark.parametrize(
    ("findings", "status"), [((), 0), ((FINE,), 0), ((FINE, NOTE), 0), ((NOTE, PROBLEM), 1)],
    ids=["none", "fine", "note", "problem"],
)  # fmt: skip
def test_exit_status(findings, status, examined, capsys):
    examined(*findings)
    assert main(["doctor"]) == status
    assert capsys.readouterr().err == ""


def test_text(examined, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    examined(FINE, NOTE, PROBLEM)
    main(["doctor"])
    assert capsys.readouterr().out.splitlines() == [
        "subject       ok       well",
        "              note     odd",
        "                       → Leave it",
        "              problem  bad\\x1b[31m",
        "                       → Mend it",
        "",
        "1 problem(s), 1 note(s), in 0.2 s",
    ]


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_longer_than_the_terminal(width):
    long = note("a", "/a/long/path" * 20 + " and some words" * 9, "Do this and that " * 9)
    printed = io.StringIO()
    doctor.print_examination(Console(file=printed, width=width), found(long))
    assert max(map(len, printed.getvalue().splitlines())) <= width


def test_a_terminal_that_takes_ascii_alone():
    file = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    doctor.print_examination(Console(file=file, width=80), found(note("a", "ä.png", "Mend it")))
    file.seek(0)
    assert "\\xe4.png" in (text := file.read())
    assert "-> Mend it" in text


def test_json_on_stdout_is_all_there_is(examined, capsys):
    examined(FINE, PROBLEM)
    assert main(["doctor", "--json", "-"]) == 1
    written = json.loads(capsys.readouterr().out)
    assert (written["format"], written["verdict"], written["problems"]) == (1, "problem", 1)
    assert written["findings"][0]["facts"] == {"number": 3}


def test_json_in_a_file(examined, tmp_path, capsys):
    examined(NOTE)
    assert main(["doctor", "--json", str(tmp_path / "a.json")]) == 0
    assert json.loads((tmp_path / "a.json").read_text())["notes"] == 1
    assert "→ Leave it" in capsys.readouterr().out


def test_options(examined, tmp_path):
    seen = examined()
    main(["doctor", "-o", str(tmp_path), "--device", "cuda:1"])
    assert (seen[0].output, seen[0].device) == (tmp_path, "cuda:1")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--device", "fridge"], "--device fridge: no device of torch's; give cpu or cuda:0"),
        (["--json", "/no/such/a.json"], "No such file or directory: /no/such"),
    ],
    ids=["device", "json"],
)
def test_mistakes(words, message, examined, capsys):
    seen = examined()
    assert main(["doctor", *words]) == 2
    assert message in capsys.readouterr().err
    assert seen == []
