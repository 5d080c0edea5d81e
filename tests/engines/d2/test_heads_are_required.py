"""No detector is evaluated without a trained head, of whatever kind. Detectron2."""

from pathlib import Path

import pytest
import torch

from resnext_det.cli.verbs.train import main
from resnext_det.engines.base import resolve_engine
from resnext_det.errors import UserError
from resnext_det.weights.load import load_weights, require_head
from resnext_det.weights.naming.detectron2 import is_backbone_key
from resnext_det.weights.sources import Weights
from tests.engines.conftest import Bench
from tests.engines.d2.tasks import CASCADE, DETECTORS, KEYPOINT, MASK, PANOPTIC, SETS
from tests.engines.d2.test_lazy import TINY

pytestmark = pytest.mark.d2

RETINANET = (
    *("MODEL.META_ARCHITECTURE", "RetinaNet", "MODEL.RETINANET.NUM_CONVS", 1),
    *("MODEL.RETINANET.IN_FEATURES", "['p2', 'p3', 'p4', 'p5', 'p6']"),
)
# detector -> (its options, a tensor of each head)
HEADS = {
    "RetinaNet": (RETINANET, ("head.cls_score.weight", "head.bbox_pred.weight")),
    "Mask R-CNN": (MASK, ("roi_heads.mask_head.predictor.weight",)),
    "Keypoint R-CNN": (KEYPOINT, ("roi_heads.keypoint_head.score_lowres.weight",)),
    "Cascade R-CNN": (CASCADE, ("roi_heads.box_predictor.2.cls_score.weight",)),
    "Panoptic FPN": (
        PANOPTIC,
        ("sem_seg_head.predictor.weight", "roi_heads.mask_head.predictor.bias"),
    ),
    "RPN": (DETECTORS["RPN"], ("proposal_generator.rpn_head.objectness_logits.weight",)),
    "PointRend": (DETECTORS["PointRend"], ("roi_heads.mask_head.point_head.predictor.weight",)),
}


@pytest.mark.parametrize("name", HEADS)
def test_each_head_is_required(bench: Bench, name: str) -> None:
    options, heads = HEADS[name]
    engine = resolve_engine("d2")
    cfg = bench.job("x", *SETS, *options).loaded.cfg
    engine.check_config(cfg)
    model = engine.build_model(cfg)
    state = {key: value.clone() for key, value in model.state_dict().items()}
    require_head(load_weights(model, Weights(state, "x.pth"), min_share=0.9))
    for head in heads:
        part = {key: value for key, value in state.items() if key != head}
        report = load_weights(model, Weights(part, "x.pth"), min_share=0.9)
        with pytest.raises(UserError) as error:
            require_head(report)
        assert (
            "x.pth: cannot be evaluated, 1 tensors of the model are not in it or have another"
            in str(error.value)
        )
        assert head in str(error.value)
    body = {key: value for key, value in state.items() if is_backbone_key(key)}
    report = load_weights(model, Weights(body, "x.pth"), min_share=0.9)
    with pytest.raises(UserError, match=r"x\.pth: cannot be evaluated, \d+ tensors"):
        require_head(report)


def test_fcos_head_is_required(
    bench: Bench, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "tiny_fcos.py"
    file.write_text(TINY)
    data = f"shapes={bench.entry.json_file}:{bench.entry.image_root}"
    common = ["--config-file", str(file), "--train-data", data, "--test-data", data]
    run = bench.folder / "run"
    assert main([*common, f"train.output_dir={run}", "train.max_iter=1"]) == 0
    content = torch.load(run / "model_final.pth", weights_only=True)
    kept = {k: v for k, v in content["model"].items() if not k.startswith("head.ctrness")}
    torch.save({**content, "model": kept}, tmp_path / "torn.pth")
    out = f"train.output_dir={bench.folder / 'eval'}"
    weights = f"train.init_checkpoint={tmp_path / 'torn.pth'}"
    assert main([*common, "--eval-only", out, weights]) == 2
    assert "torn.pth: cannot be evaluated, 2 tensors of the model" in capsys.readouterr().err
