"""Runs Detectron2 on the golden nets and keeps what each stage computed. Detectron2.

    python -m tests.golden.make_golden          # writes tests/golden/tiny_*.npz

Each file is a plain .npz; its entry `header` is JSON: Detectron2's commit, the versions, the
settings, the state dict's names and shapes, and the spread of Detectron2's own whole-model
results over thread counts, oneDNN on or off, and instruction sets. The other entries are what
`detectron2_stages` returns: the input of each stage lies beside its output.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torchvision
from detectron2.config import get_cfg
from detectron2.modeling import build_model
from detectron2.modeling.postprocessing import detector_postprocess
from detectron2.structures import Boxes, Instances, pairwise_iou
from detectron2.utils.events import EventStorage
from torch import Tensor, nn

from tests.golden.compare import match_detections
from tests.golden.formula import NETS, TINY_NETS, as_list, scene, weights

COMMIT = "02b5c4e295e990042a714712c21dc79b731e8833"
HERE = Path(__file__).parent
ANCHOR_SEED, REGION_SEED, WHOLE_SEED = 11, 12, 13
THREADS = (1, 2, 4)
INSTRUCTION_SETS = (
    {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41"},
    {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    {},  # the machine's best
)


def detectron2_model(net: str) -> nn.Module:
    """Detectron2's own model of a net, with the formula's weights."""
    cfg = get_cfg()
    cfg.merge_from_list(as_list(NETS[net]))
    model = build_model(cfg)
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    values = {name: torch.from_numpy(value) for name, value in weights(shapes).items()}
    model.load_state_dict(values)
    return model.eval()


def detectron2_inputs(net: str) -> list[dict[str, Any]]:
    """The scene of a net as Detectron2's models take it."""
    inputs = []
    for sample in scene("tiny" if net in TINY_NETS else "full"):
        instances = Instances(sample["image"].shape[1:])
        instances.gt_boxes = Boxes(torch.from_numpy(sample["boxes"]))
        instances.gt_classes = torch.from_numpy(sample["classes"])
        inputs.append(
            {
                "image": torch.from_numpy(sample["image"]),
                "height": sample["height"],
                "width": sample["width"],
                "instances": instances,
            }
        )
    return inputs


class Found(dict[str, Tensor]):
    """What each stage computed; with stored arrays, the next stage goes on from those.

    So a file is compared stage by stage: no rounding of one reaches the next.
    """

    def __init__(self, stored: Mapping[str, np.ndarray] | None = None) -> None:
        super().__init__()
        self.stored = stored or {}

    def keep(self, name: str, value: Tensor) -> Tensor:
        """Notes what a stage computed and returns what the next one takes."""
        self[name] = value
        return torch.from_numpy(self.stored[name]) if name in self.stored else value


@torch.no_grad()
def detectron2_stages(
    model: nn.Module, inputs: list[dict[str, Any]], stored: Mapping[str, np.ndarray] | None = None
) -> dict[str, np.ndarray]:
    """What Detectron2 computes at each stage; `name.i` is level i or image i.

    Args:
        model: Detectron2's.
        inputs: Detectron2's input dicts.
        stored: what an earlier call returned, which then is the input of each stage.
    """
    found = Found(stored)
    for i, sample in enumerate(inputs):
        found[f"image.{i}"] = sample["image"]
        found[f"disk_size.{i}"] = torch.tensor([sample["height"], sample["width"]])
        found[f"gt_boxes.{i}"] = sample["instances"].gt_boxes.tensor
        found[f"gt_classes.{i}"] = sample["instances"].gt_classes
    images = model.preprocess_image(inputs)
    found["images"] = images.tensor
    found["image_sizes"] = torch.tensor(images.image_sizes)
    for name, value in model.backbone.bottom_up(images.tensor).items():
        found[f"bottom_up.{name}"] = value
    features = {
        name: found.keep(f"features.{name}", value)
        for name, value in model.backbone(images.tensor).items()
    }
    with EventStorage():
        proposals = _rpn_stages(model, images, features, inputs, found)
        _roi_stages(model, images, features, proposals, inputs, found)
        _whole(model, inputs, found)
    return {name: value.detach().numpy().copy() for name, value in found.items()}


def _rpn_stages(
    model: Any, images: Any, features: Any, inputs: Any, found: Found
) -> tuple[list[Instances], list[Instances]]:
    rpn = model.proposal_generator
    maps = [features[name] for name in rpn.in_features]
    anchors = rpn.anchor_generator(maps)
    raw_logits, raw_deltas = rpn.rpn_head(maps)
    logits = [x.permute(0, 2, 3, 1).flatten(1) for x in raw_logits]
    deltas = [
        x.view(len(x), -1, 4, *x.shape[-2:]).permute(0, 3, 4, 1, 2).flatten(1, -2)
        for x in raw_deltas
    ]
    for i in range(len(anchors)):
        anchors[i] = Boxes(found.keep(f"anchors.{i}", anchors[i].tensor))
        logits[i] = found.keep(f"rpn_logits.{i}", logits[i])
        deltas[i] = found.keep(f"rpn_deltas.{i}", deltas[i])
    targets = [x["instances"] for x in inputs]
    for i, target in enumerate(targets):
        matches, labels = rpn.anchor_matcher(pairwise_iou(target.gt_boxes, Boxes.cat(anchors)))
        found[f"anchor_matches.{i}"], found[f"anchor_labels.{i}"] = matches, labels
    torch.manual_seed(ANCHOR_SEED)
    sampled, matched = rpn.label_and_sample_anchors(anchors, targets)
    for i in range(len(targets)):
        sampled[i] = found.keep(f"sampled_anchor_labels.{i}", sampled[i])
        matched[i] = found.keep(f"sampled_anchor_gt.{i}", matched[i])
    found |= rpn.losses(anchors, logits, sampled, deltas, matched)
    results = []
    for mode in ("test", "train"):
        rpn.training = mode == "train"
        proposals = rpn.predict_proposals(anchors, logits, deltas, images.image_sizes)
        for i, image in enumerate(proposals):
            boxes = found.keep(f"proposals_{mode}.{i}", image.proposal_boxes.tensor)
            scores = found.keep(f"proposal_logits_{mode}.{i}", image.objectness_logits)
            proposals[i] = Instances(
                image.image_size, proposal_boxes=Boxes(boxes), objectness_logits=scores
            )
        results.append(proposals)
    rpn.training = False
    return results[0], results[1]


def _roi_stages(
    model: Any, images: Any, features: Any, proposals: Any, inputs: Any, found: Found
) -> None:
    heads, (test, train) = model.roi_heads, proposals
    maps = [features[name] for name in heads.in_features]
    pooled = heads.box_pooler(maps, [p.proposal_boxes for p in test])
    pooled = found.keep("roi_features", pooled)
    logits, deltas = heads.box_predictor(heads.box_head(pooled))
    predictions = found.keep("cls_logits", logits), found.keep("box_deltas", deltas)
    detections, _ = heads.box_predictor.inference(predictions, test)
    for i, (detected, sample) in enumerate(zip(detections, inputs, strict=True)):
        boxes = found.keep(f"detected_boxes.{i}", detected.pred_boxes.tensor.clone())
        image = Instances(
            detected.image_size,
            pred_boxes=Boxes(boxes.clone()),
            scores=found.keep(f"detected_scores.{i}", detected.scores),
            pred_classes=found.keep(f"detected_classes.{i}", detected.pred_classes),
        )
        final = detector_postprocess(image, sample["height"], sample["width"])
        found[f"final_boxes.{i}"] = final.pred_boxes.tensor
        found[f"final_scores.{i}"] = final.scores
        found[f"final_classes.{i}"] = final.pred_classes
    torch.manual_seed(REGION_SEED)
    regions = heads.label_and_sample_proposals(train, [x["instances"] for x in inputs])
    for i, image in enumerate(regions):
        boxes = found.keep(f"region_boxes.{i}", image.proposal_boxes.tensor)
        regions[i] = Instances(
            image.image_size,
            proposal_boxes=Boxes(boxes),
            gt_classes=found.keep(f"region_classes.{i}", image.gt_classes),
            gt_boxes=Boxes(found.keep(f"region_gt.{i}", image.gt_boxes.tensor)),
        )
    pooled = heads.box_pooler(maps, [r.proposal_boxes for r in regions])
    logits, deltas = heads.box_predictor(heads.box_head(pooled))
    predictions = (
        found.keep("region_cls_logits", logits),
        found.keep("region_box_deltas", deltas),
    )
    found |= heads.box_predictor.losses(predictions, regions)


def _whole(model: nn.Module, inputs: list[dict[str, Any]], found: dict[str, Tensor]) -> None:
    for i, result in enumerate(model.eval()(inputs)):
        found[f"whole_boxes.{i}"] = result["instances"].pred_boxes.tensor
        found[f"whole_scores.{i}"] = result["instances"].scores
        found[f"whole_classes.{i}"] = result["instances"].pred_classes
    torch.manual_seed(WHOLE_SEED)
    losses = model.train()(inputs)
    model.eval()
    found |= {f"whole_{name}": value for name, value in losses.items()}


def whole_runs(net: str) -> list[dict[str, Any]]:
    """Whole-model results under every thread count, oneDNN on and off, in this process."""
    model, inputs, runs = detectron2_model(net), detectron2_inputs(net), []
    for threads in THREADS:
        for onednn in (True, False):
            torch.set_num_threads(threads)
            found: dict[str, Tensor] = {}
            with torch.backends.mkldnn.flags(enabled=onednn), torch.no_grad(), EventStorage():
                _whole(model, inputs, found)
            results = {name: value.tolist() for name, value in found.items()}
            runs.append({"threads": threads, "onednn": onednn, "results": results})
    torch.set_num_threads(1)
    return runs


def measure_spread(net: str, reference: dict[str, np.ndarray]) -> dict[str, Any]:
    """Largest differences of Detectron2's results from the stored ones, over all settings."""
    spread: dict[str, Any] = {"boxes": 0.0, "scores": 0.0, "losses": 0.0, "unmatched": 0}
    settings = []
    for environment in INSTRUCTION_SETS:
        command = [sys.executable, "-m", "tests.golden.make_golden", "--spread-of", net]
        text = subprocess.run(
            command, env=os.environ | environment, check=True, capture_output=True, text=True
        ).stdout
        for run in json.loads(text.splitlines()[-1]):
            settings.append([environment, run["threads"], run["onednn"]])
            _widen(spread, run["results"], reference)
    return spread | {"settings": settings}


def _widen(spread: dict[str, Any], run: dict[str, Any], reference: dict[str, np.ndarray]) -> None:
    for name, value in run.items():
        if name.startswith("whole_loss"):
            expected = float(reference[name])
            relative = abs(value - expected) / max(abs(expected), 1e-12)
            spread["losses"] = max(spread["losses"], relative)
    for i in range(2):
        boxes, scores = np.asarray(run[f"whole_boxes.{i}"]), np.asarray(run[f"whole_scores.{i}"])
        classes = np.asarray(run[f"whole_classes.{i}"])
        pairs, unmatched = match_detections(
            (boxes, classes), (reference[f"whole_boxes.{i}"], reference[f"whole_classes.{i}"])
        )
        spread["unmatched"] = max(spread["unmatched"], unmatched)
        for ours, theirs in pairs:
            box_gap = np.abs(boxes[ours] - reference[f"whole_boxes.{i}"][theirs]).max()
            score_gap = abs(scores[ours] - reference[f"whole_scores.{i}"][theirs])
            spread["boxes"] = max(spread["boxes"], float(box_gap))
            spread["scores"] = max(spread["scores"], float(score_gap))


def write_golden(net: str, folder: Path) -> Path:
    """Computes and writes the golden file of a net."""
    torch.set_num_threads(1)
    model = detectron2_model(net)
    arrays = detectron2_stages(model, detectron2_inputs(net))
    header = {
        "net": net,
        "detectron2_commit": COMMIT,
        "versions": {"torch": torch.__version__, "torchvision": torchvision.__version__},
        "settings": TINY_NETS[net],
        "seeds": {"anchors": ANCHOR_SEED, "regions": REGION_SEED, "whole": WHOLE_SEED},
        "state_dict": {name: list(value.shape) for name, value in model.state_dict().items()},
        "spread": measure_spread(net, arrays),
    }
    path = folder / f"{net}.npz"
    np.savez_compressed(path, header=np.array(json.dumps(header)), **arrays)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--spread-of", choices=list(TINY_NETS), help=argparse.SUPPRESS)
    parser.add_argument("--output", type=Path, default=HERE)
    args = parser.parse_args()
    if args.spread_of:
        print(json.dumps(whole_runs(args.spread_of)))
        return
    for net in TINY_NETS:
        path = write_golden(net, args.output)
        print(f"{path}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
