"""The detector that is exported, read from its checkpoint. Portable."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fvcore.common.config import CfgNode

from resnext_det.config import check_honoured, dump_config, with_values
from resnext_det.data.opened_image import Pixels
from resnext_det.engines.portable.engine import PortableEngine
from resnext_det.engines.portable.faster_rcnn import FasterRCNN
from resnext_det.engines.portable.from_config import check_values
from resnext_det.engines.portable.honoured import HONOURED
from resnext_det.errors import UserError
from resnext_det.export.ties import Candidates
from resnext_det.inference.detector import Detector, check_score_thresh
from resnext_det.inference.detector_file import DetectorFile, read_detector_file
from resnext_det.weights.load import load_weights, require_head

_ONLY = "Faster R-CNN with FPN is what can be exported"
_ALL = 1_000_000  # boxes of an image
_OTHER_ENGINE = ": use --engine d2"


@dataclass(frozen=True)
class ExportSource:
    """A detector of the portable engine, on the CPU, whichever engine trained it.

    Attributes:
        model: in evaluation mode.
        cfg: what it was built from.
        class_names: the K names.
        detector: the same model, as the export has to equal it.
    """

    model: FasterRCNN
    cfg: CfgNode
    class_names: tuple[str, ...]
    detector: Detector

    @property
    def score_thresh(self) -> float:
        """Boxes are scored above it."""
        return float(self.cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST)

    def candidates(self, pixels: Pixels) -> Candidates:
        """Returns what the detector chooses from in an image, (H, W, 3) uint8 RGB."""
        boxes, more = (detector.detect([pixels])[0] for detector in self._candidate_detectors)
        return Candidates(boxes, more)

    @cached_property
    def _candidate_detectors(self) -> tuple[Detector, Detector]:
        """Returns the detector without its last suppression, and without that of proposals too."""
        anchors = int(1.1 * self.cfg.MODEL.RPN.PRE_NMS_TOPK_TEST) + 1  # ties at the end of the list
        last: dict[str, object] = {
            "MODEL.ROI_HEADS.NMS_THRESH_TEST": 1.0,
            "TEST.DETECTIONS_PER_IMAGE": _ALL,
        }
        proposals: dict[str, object] = {
            "MODEL.RPN.NMS_THRESH": 1.0,
            "MODEL.RPN.PRE_NMS_TOPK_TEST": anchors,
            "MODEL.RPN.POST_NMS_TOPK_TEST": anchors * len(self.cfg.MODEL.RPN.IN_FEATURES),
        }
        boxes, more = (self._changed(values) for values in (last, last | proposals))
        return boxes, more

    def _changed(self, values: Mapping[str, object]) -> Detector:
        cfg, engine = with_values(self.cfg, values), PortableEngine()
        model = engine.build_model(cfg).eval()
        model.load_state_dict(self.model.state_dict())
        return Detector(engine.build_predictor(model, cfg), self.class_names)

    def metadata(self) -> dict[str, str]:
        """Returns what an exported file says of itself, all of it text, JSON but for words."""
        return {
            "resnext_det": _version(),
            "class_names": json.dumps(list(self.class_names)),
            "config_digest": hashlib.sha256(dump_config(self.cfg).encode()).hexdigest(),
            "score_thresh": json.dumps(self.score_thresh),
            "nms_thresh": json.dumps(float(self.cfg.MODEL.ROI_HEADS.NMS_THRESH_TEST)),
            "detections_per_image": json.dumps(int(self.cfg.TEST.DETECTIONS_PER_IMAGE)),
            "input": "images: (N, H, W, 3) uint8 RGB",
            "output": "boxes: (R, 4) float32 xyxy, pixels of the images; scores: (R,) float32; "
            "classes: (R,) int64; batch: (R,) int64, the image of each",
        }


def read_source(
    path: str | Path,
    *,
    config_file: str | None = None,
    class_names: Sequence[str] = (),
    score_thresh: float | None = None,
) -> ExportSource:
    """Reads a checkpoint of either engine.

    Args:
        path: the file.
        config_file: for a file without a config of its own.
        class_names: for a file without class names of its own.
        score_thresh: 0 … 1, of the exported detector; None takes the config's.

    Raises:
        UserError: the file is no detector's, or its detector is none that can be exported.
    """
    check_score_thresh(score_thresh)
    file = read_detector_file(path, config_file=config_file, class_names=class_names)
    values: dict[str, object] = {"MODEL.DEVICE": "cpu"}
    if score_thresh is not None:
        values["MODEL.ROI_HEADS.SCORE_THRESH_TEST"] = float(score_thresh)
    return _built(DetectorFile(with_values(file.cfg, values), file.weights, file.class_names))


def _built(file: DetectorFile) -> ExportSource:
    cfg, engine = file.cfg, PortableEngine()
    _check_exportable(cfg, file.weights.source)
    model = engine.build_model(cfg)
    require_head(load_weights(model, file.weights, min_share=cfg.MODEL.WEIGHTS_MIN_SHARE))
    model.eval()
    detector = Detector(engine.build_predictor(model, cfg), file.class_names)
    return ExportSource(model, cfg, file.class_names, detector)


def _check_exportable(cfg: CfgNode, source: str) -> None:
    try:
        check_values(cfg)
        check_honoured(cfg, HONOURED, "portable", _ONLY)
    except UserError as error:
        reason = str(error).replace(_OTHER_ENGINE, f"; {_ONLY}")
        raise UserError(f"{source}: cannot be exported: {reason}") from error


def _version() -> str:
    try:
        return version("resnext-det")
    except PackageNotFoundError:  # a checkout that is not installed
        return "unknown"
