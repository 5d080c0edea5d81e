"""Pictures of what a classifier says, for each evaluation. Engine-neutral."""

from dataclasses import replace

import numpy as np
import torch
from fvcore.common.config import CfgNode
from PIL import Image, ImageOps
from torch import nn

from resnext_det.data.image_folder import FolderDataset
from resnext_det.data.imagenet import build_classification_test_loader
from resnext_det.evaluation.drawing import FOUND_COLOR, TRUTH_COLOR, NamedBox, draw_boxes


@torch.no_grad()
def prediction_pictures(
    cfg: CfgNode, model: nn.Module, dataset: FolderDataset, device: torch.device
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
    count = min(cfg.TEST.PICTURES, len(dataset.samples))
    places = [place * len(dataset.samples) // count for place in range(count)]
    chosen = replace(dataset, samples=tuple(dataset.samples[place] for place in places))
    model.eval()
    batches = build_classification_test_loader(cfg, chosen)
    logits = [model(images.to(device)) for images, _ in batches]
    scores, found = torch.cat(logits).float().softmax(1).max(1)  # (N,) each
    pictures = {}
    for place, (path, label) in enumerate(chosen.samples):
        guess = int(found[place])
        text = f"{dataset.class_names[guess]} {100 * float(scores[place]):.0f}%"
        if guess != label:
            text += f", not {dataset.class_names[label]}"
        color = TRUTH_COLOR if guess == label else FOUND_COLOR
        pictures[f"predictions/{place}"] = _framed(path, text, color)
    return pictures


def _framed(path: str, text: str, color: str) -> np.ndarray:
    with Image.open(path) as opened:
        image = ImageOps.exif_transpose(opened).convert("RGB")
    frame = NamedBox((0.0, 0.0, float(image.width), float(image.height)), text)
    return np.asarray(draw_boxes(image, [frame], color))
