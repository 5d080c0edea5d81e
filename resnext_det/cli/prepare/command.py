"""What the kinds share: the command line as typed. Engine-neutral."""

import shlex
import sys


def command_line() -> str:
    """Returns the words of this process, for the manifest."""
    return shlex.join(["resnext-det", *sys.argv[1:]])
