#!/usr/bin/env python
"""Trains or evaluates a classifier or a detector from one config file.

    python train_net.py --config-file configs/COCO-Detection/faster_rcnn_X_50_32x4d_FPN_1x.yaml

`resnext-det train` is the same command.
"""

import sys

from resnext_det.start_up import leave_when_told

if __name__ == "__main__":
    leave_when_told(sys.argv)

    from resnext_det.cli.train import main

    sys.exit(main())
