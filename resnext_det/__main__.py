"""`python -m resnext_det` is the `resnext-det` command. Engine-neutral."""

import sys

from resnext_det.start_up import leave_when_told


def main() -> int:
    """Runs the command with the process's own arguments.

    Returns:
        The exit status: see `cli.errors`.
    """
    if sys.argv[1:2] == ["train"]:
        leave_when_told(sys.argv)

    from resnext_det.cli import main as run_verb  # takes seconds

    return run_verb()


if __name__ == "__main__":
    sys.exit(main())
