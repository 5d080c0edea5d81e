"""A command says what went wrong in one line, whatever is in the names of files."""

import argparse
import errno

import pytest

from resnext_det.cli.errors import report_errors
from resnext_det.errors import UserError, one_line


def test_names_with_line_breaks_and_bytes_are_written_out(capsys):
    def verb(_):
        raise UserError("a/new\nline\udcff \x1b[31m.jpg: no such image")

    assert report_errors(verb, argparse.Namespace()) == 2
    expected = "error: a/new\\nline\\udcff \\x1b[31m.jpg: no such image\n"
    assert capsys.readouterr().err == expected


def test_a_full_disk_behind_stdout_is_one_line(capsys):
    def verb(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    assert report_errors(verb, argparse.Namespace()) == 2
    assert capsys.readouterr().err == ("error: the disk of standard output is full: give another\n")
    with pytest.raises(OSError, match="a.txt"):
        report_errors(_full, argparse.Namespace())


def _full(_):
    raise OSError(errno.ENOSPC, "No space left on device", "a.txt")


def test_text_of_any_language_stays_as_it_is():
    assert one_line("ünï – 猫 'x' \\n") == "ünï – 猫 'x' \\n"
    assert one_line("") == ""


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (argparse.Namespace(), "interrupted\n"),
        (
            argparse.Namespace(resume=False),
            "interrupted; --resume continues a training run from a checkpoint\n",
        ),
    ],
)
def test_an_interrupt_speaks_of_resuming_where_that_can_be(args, said, capsys):
    def verb(_):
        raise KeyboardInterrupt

    assert report_errors(verb, args) == 130
    assert capsys.readouterr().err == said
