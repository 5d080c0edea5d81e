"""Pictures of what a classifier says, for each evaluation. Engine-neutral."""

import numpy as np
import torch
from fvcore.common.config import CfgNode
from PIL import Image
from torch import nn

from resnext_det.classification.device_batch import build_device_batch
from resnext_det.data.classification_loader import build_classification_test_loader
from resnext_det.data.classification_set import ClassificationSet
from resnext_det.data.exact_decoding import ExactDecoder
from resnext_det.evaluation.drawing import FOUND_COLOR, TRUTH_COLOR, NamedBox, draw_boxes


@torch.no_grad()
def prediction_pictures(
    cfg: CfgNode, model: nn.Module, dataset: ClassificationSet, device: torch.device
) -> dict[str, np.ndarray]:
    """Draws TEST.PICTURES images of a test set, the same ones at each evaluation.

    Args:
        cfg: the configuration.
        model: on `device`, not wrapped; left in evaluation mode.
        dataset: the test set.
        device: where the model is.

    Returns:
        Pictures by name, (H, W, 3) uint8 RGB: in a blue frame what was recognised, in an
        orange one what was taken for something else.
    """
    count = min(cfg.TEST.PICTURES, len(dataset))
    places = [place * len(dataset) // count for place in range(count)]
    chosen = dataset.subset(places)
    model.eval()
    to_inputs = build_device_batch(cfg, device)
    pictures = {}
    for batch in build_classification_test_loader(cfg, chosen):
        scores, found = model(to_inputs(batch)[0]).float().softmax(1).max(1)  # (N,) each
        for place, score, guess in zip(
            batch.indices.tolist(), scores.tolist(), found.tolist(), strict=True
        ):
            label = chosen.images.label(place)
            text = f"{dataset.class_names[guess]} {100 * score:.0f}%"
            if guess != label:
                text += f", not {dataset.class_names[label]}"
            color = TRUTH_COLOR if guess == label else FOUND_COLOR
            data = chosen.images.read(place).data
            pictures[f"predictions/{place}"] = _framed(data, text, color)
    return pictures


def _framed(data: bytes, text: str, color: str) -> np.ndarray:
    image = ExactDecoder(Image.Resampling.BILINEAR).open(data).decode()
    frame = NamedBox((0.0, 0.0, float(image.width), float(image.height)), text)
    return np.asarray(draw_boxes(image, [frame], color))
