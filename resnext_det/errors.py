"""The exception for mistakes a user can mend, and how messages write names. Engine-neutral."""

from collections.abc import Sequence


class UserError(ValueError):
    """A mistake in a config, a command, a data set or a file.

    The message is one line that names the file, key or image and says how to mend it.
    The commands print it without a traceback and exit with status 2.
    """


class SaidInterruptError(KeyboardInterrupt):
    """An interrupt whose line has been written: the commands add none."""


def one_line(text: str) -> str:
    r"""Returns text as one line that any terminal and file takes.

    Names of files may hold line breaks, other control characters and bytes that are no UTF-8;
    they are written as Python would, as in `new\nline.jpg`.
    """
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def few(names: Sequence[str], number: int = 3) -> str:
    """Returns the first names, and an ellipsis for the others."""
    return ", ".join(names[:number]) + (" …" if len(names) > number else "")
