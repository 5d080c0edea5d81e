"""`--json`: in a file, on stdout, into a pipe that is closed. Engine-neutral."""

import argparse
import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from resnext_det.cli import main
from resnext_det.cli.json_option import add_json
from resnext_det.cli.printing import check_json, open_console, status, write_json


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


@pytest.mark.parametrize("is_terminal", [True, False])
def test_what_goes_on_is_shown_on_a_terminal_alone(is_terminal, monkeypatch, capsys):
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE"):  # by which rich takes any file for a terminal
        monkeypatch.delenv(name, raising=False)
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    with status() as say:
        say("writing [b].onnx")
    shown = capsys.readouterr()
    assert ("writing [b].onnx" in shown.err) == is_terminal
    assert shown.out == ""


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


def test_a_file_is_replaced_whole_and_a_link_or_a_pipe_stays(tmp_path):
    file, link, pipe = (tmp_path / name for name in ("a.json", "link.json", "pipe"))
    file.write_text("{}")
    link.symlink_to(file)
    before = file.stat().st_ino
    write_json(str(link), [1])
    assert link.is_symlink()
    assert file.read_text() == "[\n 1\n]\n"
    assert file.stat().st_ino != before  # whoever reads the old one reads on
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    write_json(str(pipe), [2])
    assert os.read(reader, 100) == b"[\n 2\n]\n"
    os.close(reader)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


SET = ("dataset", "check", "mine=a.json:images")
CONVERT = ("weights", "convert", "w.pth", "new.pth", "--to", "timm")
USED = "is one of the files that this command reads or writes: name another"
FOREIGN = "exists and is no JSON as this command writes it: name another"
CASES = [
    ((*SET, "--json", "a.json"), USED),
    ((*SET, "--json", "linked.json"), USED),
    ((*SET, "--json", "images/1.png"), FOREIGN),
    ((*SET, "--config-file", "c.yaml", "--json", "c.yaml"), USED),
    ((*SET, "-o", "pages", "--json", "pages/check.html"), USED),
    ((*SET, "--fix", "pages", "--json", "pages/mine.json"), USED),
    ((*SET, "--fix", "pages", "--json", "pages/mine.fixes.json"), USED),
    (("dataset", "check", "mine=images", "--json", "images/index.json"), USED),
    (("weights", "inspect", "w.pth", "--json", "w.pth"), USED),
    (("weights", "inspect", "w.pth", "--json", "w.pth.json"), USED),
    (("weights", "verify", "w.pth", "--json", "w.pth"), USED),
    (("weights", "diff", "c.yaml", "w.pth", "--json", "w.pth"), USED),
    ((*CONVERT, "--json", "new.pth.json"), USED),
    ((*CONVERT, "--class-names", "a.json", "--json", "a.json"), USED),
    (("weights", "list", "--json", "w.pth"), FOREIGN),
    (("complexity", "c.yaml", "--json", "c.yaml"), USED),
    (("reproduce", "images", "--json", "images/index.json"), USED),
    (("doctor", "--json", "w.pth"), FOREIGN),
    (("design", "--like", "resnet50", "--json", "c.yaml"), FOREIGN),
]


@pytest.mark.parametrize(("words", "wrong"), CASES, ids=[" ".join(words) for words, _ in CASES])
def test_no_verb_writes_over_what_it_reads(words, wrong, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for folder in ("images", "pages"):
        Path(folder).mkdir()
    texts = {"a.json": "{}", "images/1.png": "\x89PNG", "images/index.json": "{}"}
    texts |= {"c.yaml": "SEED: 1", "w.pth": "PK", "w.pth.json": "{}"}
    for name, text in texts.items():
        Path(name).write_text(text)
    Path("linked.json").symlink_to("a.json")
    assert main(words) == 2
    assert capsys.readouterr().err == f"error: --json {words[-1]}: {wrong}\n"
    assert {name: Path(name).read_text() for name in texts} == texts


@pytest.mark.parametrize("text", ["", " \n[1]", '{"of an earlier run": 1'])
def test_json_and_empty_files_are_written_over(text, tmp_path):
    path = tmp_path / "a.json"
    path.write_text(text)
    check_json(str(path))
