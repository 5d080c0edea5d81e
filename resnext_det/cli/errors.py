"""How a command ends when something went wrong. Engine-neutral."""

import argparse
import errno
import sys
from collections.abc import Callable

from resnext_det.errors import SaidInterruptError, UserError, one_line
from resnext_det.training.preemption import STATUS, Preempted


def report_errors(verb: Callable[[argparse.Namespace], int], args: argparse.Namespace) -> int:
    """Runs a verb and turns what went wrong into one line and an exit status.

    Returns:
        What the verb returns; 2 after a mistake the user can mend; 3 when the loss is
        no longer finite; 75 where a training run was told to stop (see `preemption`);
        130 after an interrupt.
    """
    try:
        return verb(args)
    except UserError as error:
        print(f"error: {one_line(str(error))}", file=sys.stderr)
        return 2
    except OSError as error:
        if error.errno != errno.ENOSPC or error.filename is not None:
            raise
        print("error: the disk of standard output is full: give another", file=sys.stderr)
        return 2
    except FloatingPointError as error:
        print(f"error: {error}", file=sys.stderr)
        return 3
    except Preempted as stopped:
        if str(stopped):
            print(stopped, file=sys.stderr)
        return STATUS
    except SaidInterruptError:
        return 130
    except KeyboardInterrupt:
        hint = "; --resume continues a training run from a checkpoint" if "resume" in args else ""
        print(f"interrupted{hint}", file=sys.stderr)
        return 130
