"""A tiny detector that was trained for a second, once for each engine."""

import json
import logging
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from resnext_det.config import config_of_text, dump_config, with_values
from resnext_det.engines.base import EngineName, resolve_engine
from resnext_det.engines.detection import evaluate_detector, train_detector
from tests.engines.conftest import Bench, make_bench


@dataclass(frozen=True)
class Trained:
    """A run that is finished.

    Attributes:
        engine: the one it ran on.
        bench: its data and its config.
        checkpoint: its model_final.pth.
    """

    engine: EngineName
    bench: Bench
    checkpoint: Path

    @property
    def images(self) -> list[Path]:
        return sorted(self.bench.entry.image_root.iterdir())

    @property
    def annotations(self) -> Path:
        assert self.bench.entry.json_file is not None
        return self.bench.entry.json_file

    def content(self) -> dict[str, Any]:
        """Returns what the checkpoint holds, to be changed and saved under another name."""
        content = torch.load(self.checkpoint, weights_only=True)
        del content["digest"]
        return content

    def with_config(self, path: Path, key: str, value: object) -> "Trained":
        """Saves the checkpoint as if its run had had another value for a dotted key."""
        content = self.content()
        cfg = with_values(config_of_text(content["config"], "test"), {key: value})
        torch.save(content | {"config": dump_config(cfg)}, path)
        return replace(self, checkpoint=path)

    def evaluated(self, *overrides: object) -> list[dict[str, Any]]:
        """Returns the results that `train_net.py --eval-only` writes, one image at a time."""
        job = self.bench.job("evaluated", "MODEL.WEIGHTS", self.checkpoint, *overrides)
        evaluate_detector(resolve_engine(self.engine), job)
        folder = self.bench.folder / "evaluated" / "inference"
        return json.loads((folder / "coco_instances_results.json").read_text())


@pytest.fixture(scope="session", params=["portable", pytest.param("d2", marks=pytest.mark.d2)])
def trained(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Both engines in turn."""
    return _train(request.param, tmp_path_factory.mktemp(request.param))


@pytest.fixture(scope="session")
def portable(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """The portable engine's, where nothing depends on the engine."""
    return _train("portable", tmp_path_factory.mktemp("portable"))


@pytest.fixture(autouse=True)
def _tidy(no_handlers_left: None) -> None:
    """Runs log into folders that are gone after the test."""


def _train(engine: EngineName, folder: Path) -> Trained:
    bench = make_bench(folder)
    train_detector(resolve_engine(engine), bench.job("run", "DATASETS.TEST", "[]"))
    for name in ("resnext_det", "detectron2", "fvcore"):
        for handler in list(logging.getLogger(name).handlers):
            logging.getLogger(name).removeHandler(handler)
            handler.close()
    return Trained(engine, bench, bench.folder / "run" / "model_final.pth")
