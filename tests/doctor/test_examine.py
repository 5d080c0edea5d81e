"""All subjects together, and what goes wrong with one of them. Engine-neutral."""

from pathlib import Path

from resnext_det.doctor.examine import SUBJECTS, Patient, Subject, as_json, examine
from resnext_det.doctor.findings import fine, note, problem, said

KEYS = {"subject", "check", "verdict", "text", "advice", "facts"}


def quiet(_):
    return iter([fine("a", "all is well", number=1)])


def noting(_):
    return iter([note("b", "a thing", "Leave it")])


def bad(_):
    return iter([problem("c", "broken", "Mend it")])


def breaking(_):
    yield fine("d", "so far")
    raise KeyError("what\nnow")


def verdicts(*looks):
    subjects = [Subject(look.__name__, look) for look in looks]
    return as_json(examine(Patient(Path("x")), subjects))


def test_what_is_written():
    written = verdicts(quiet, noting)
    assert set(written) == {"format", "verdict", "problems", "notes", "seconds", "findings"}
    assert (written["format"], written["verdict"]) == (1, "note")
    assert (written["problems"], written["notes"]) == (0, 1)
    assert written["findings"] == [
        {
            "subject": "quiet",
            "check": "a",
            "verdict": "ok",
            "text": "all is well",
            "advice": "",
            "facts": {"number": 1},
        },
        {
            "subject": "noting",
            "check": "b",
            "verdict": "note",
            "text": "a thing",
            "advice": "Leave it",
            "facts": {},
        },
    ]


def test_the_worst_counts():
    assert verdicts()["verdict"] == "ok"
    assert verdicts(quiet)["verdict"] == "ok"
    assert verdicts(bad, noting)["verdict"] == "problem"


def test_a_look_that_raises_is_a_problem_and_the_others_go_on():
    found = verdicts(breaking, quiet)["findings"]
    assert [finding["verdict"] for finding in found] == ["ok", "problem", "ok"]
    assert found[1]["text"] == "broke off: KeyError: 'what\\nnow'"
    assert found[1]["advice"].startswith("This check itself failed")


def test_an_error_without_words():
    assert said(ValueError()) == "ValueError"
    assert said(ValueError("a\n  b")) == "ValueError: a b"


def test_this_machine(tmp_path):
    examination = examine(Patient(tmp_path / "runs", "cpu"))
    written = as_json(examination)
    names = [subject.name for subject in SUBJECTS]
    assert list(dict.fromkeys(finding["subject"] for finding in written["findings"])) == names
    for finding in written["findings"]:
        assert set(finding) == KEYS
        assert finding["text"]
        assert "broke off" not in finding["text"]
        assert bool(finding["advice"]) == (finding["verdict"] != "ok")
    assert list(tmp_path.iterdir()) == []  # nothing is left
