"""`--json`: in a file, on stdout, into a pipe that is closed. Engine-neutral."""

import argparse
import json
import subprocess
import sys

import pytest

from resnext_det.cli.json_option import add_json
from resnext_det.cli.printing import check_json, open_console, write_json


def test_stdout_takes_the_json_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_json("-")
    open_console("-").print("text")
    write_json("-", {"a": 1})
    assert json.loads(capsys.readouterr().out) == {"a": 1}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("file", [None, "a.json"])
def test_elsewhere_the_text_is_printed(file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    check_json(file)
    open_console(file).print("text")
    write_json(file, {"a": 1})
    assert capsys.readouterr().out == "text\n"
    assert (tmp_path / "a.json").exists() == (file is not None)


def test_the_help_says_so():
    parser = argparse.ArgumentParser()
    add_json(parser, "the counts")
    assert "on stdout for -, instead of the text" in " ".join(parser.format_help().split())


def test_a_closed_pipe_is_no_traceback():
    program = "from resnext_det.cli.printing import write_json; write_json('-', ['a' * 200] * 9999)"
    words = [sys.executable, "-c", program]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""
    assert process.returncode == 0
