#!/usr/bin/env python
"""Trains or evaluates a classifier or a detector from one config file.

    python train_net.py --config-file configs/COCO-Detection/faster_rcnn_X_50_32x4d_FPN_1x.yaml

`resnext-det train` is the same command.
"""

import os
import signal
import sys
from types import FrameType


def leave_at_once(number: int, _: FrameType | None) -> None:
    """Ends the process with EX_TEMPFAIL, while it imports its libraries or after its work."""
    text = f"stopped by {signal.Signals(number).name} outside training, nothing is lost\n"
    os.write(sys.stderr.fileno(), text.encode())
    os._exit(75)


if __name__ == "__main__":
    if "--eval-only" not in sys.argv:
        for each in (signal.SIGTERM, signal.SIGUSR1):
            signal.signal(each, leave_at_once)

    from resnext_det.cli.train import main

    sys.exit(main())
