"""A tiny detector to time, and contestants without processes of their own."""

import numpy as np
import pytest

from resnext_det.benchmarking import bench
from resnext_det.benchmarking.sizes import Size
from resnext_det.benchmarking.work import work_of_config
from resnext_det.engines.base import resolve_engine
from resnext_det.timing.alternation import seconds_of
from resnext_det.timing.processes import Answer, ContestantError

TINY = {
    "MODEL.RESNETS.NUM_GROUPS": 2,
    "MODEL.RESNETS.WIDTH_PER_GROUP": 4,
    "MODEL.RESNETS.RES2_OUT_CHANNELS": 16,
    "MODEL.RESNETS.STEM_OUT_CHANNELS": 8,
    "MODEL.FPN.OUT_CHANNELS": 16,
    "MODEL.ROI_BOX_HEAD.FC_DIM": 16,
    "MODEL.ROI_HEADS.NUM_CLASSES": 5,
    "MODEL.RPN.POST_NMS_TOPK_TEST": 100,
}


def drawn_images(number, height=64, width=96):
    draw = np.random.default_rng(0)
    return [draw.integers(256, size=(height, width, 3), dtype=np.uint8) for _ in range(number)]


@pytest.fixture(scope="session")
def work():
    return work_of_config(
        "resnext_det://Base-RCNN-FPN.yaml",
        resolve_engine("portable"),
        device="cpu",
        images=drawn_images(2),
        size=Size(64, 96),
        keys=TINY,
    )


class InProcess:
    """What `Contestant` does, in the process that asks."""

    base = 0

    def __init__(self, build, **_):
        self.build, self.act = build, None

    def start(self):
        pass

    def __enter__(self):
        try:
            self.act = self.build()
        except Exception as error:
            raise ContestantError(str(error)) from error
        return self

    def __exit__(self, *error):
        self.close()

    def close(self):
        self.act = None

    def ask(self, request=None):
        values = []
        seconds = seconds_of(lambda: values.append(self.act(request)))
        return Answer(seconds, values[0], 2**20)


@pytest.fixture
def in_process(monkeypatch):
    monkeypatch.setattr(bench, "Contestant", InProcess)
