"""`python -m resnext_det` is the `resnext-det` command. Engine-neutral."""

import sys

from resnext_det.cli import main

if __name__ == "__main__":
    sys.exit(main())
