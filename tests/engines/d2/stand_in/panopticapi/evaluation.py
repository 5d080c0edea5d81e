"""Panoptic quality of a few small images, in the stand-in's form of panopticapi."""

import json
from collections import defaultdict
from pathlib import Path

import numpy as np
from PIL import Image

from panopticapi.utils import rgb2id


def pq_compute(gt_json_file, pred_json_file, gt_folder=None, pred_folder=None):
    """PQ, SQ and RQ in 0 … 1, and the number of categories, of All, Things and Stuff."""
    truth = json.loads(Path(gt_json_file).read_text())
    found = {a["image_id"]: a for a in json.loads(Path(pred_json_file).read_text())["annotations"]}
    ious, missed, spurious = defaultdict(list), defaultdict(int), defaultdict(int)
    for annotation in truth["annotations"]:
        if annotation["image_id"] not in found:
            raise Exception(f"no prediction for the image with id: {annotation['image_id']}")
        ours, theirs = annotation, found[annotation["image_id"]]
        gt, pred = _read(gt_folder, ours["file_name"]), _read(pred_folder, theirs["file_name"])
        assert set(np.unique(pred)) - {0} == {s["id"] for s in theirs["segments_info"]}
        matched = set()
        for segment in ours["segments_info"]:
            mask, category = gt == segment["id"], segment["category_id"]
            best = 0.0
            for other in theirs["segments_info"]:
                if other["category_id"] != category:
                    continue
                guess = pred == other["id"]
                iou = (mask & guess).sum() / (mask | (guess & (gt != 0))).sum()
                if iou > 0.5:  # at most one can
                    best = iou
                    matched.add(other["id"])
            if best:
                ious[category].append(best)
            else:
                missed[category] += 1
        for other in theirs["segments_info"]:
            spurious[other["category_id"]] += other["id"] not in matched
    stat = PQStat()
    for category in truth["categories"]:
        key = category["id"]
        hits, errors = len(ious[key]), missed[key] + spurious[key]
        if hits + errors:
            rq = hits / (hits + errors / 2)
            sq = sum(ious[key]) / hits if hits else 0.0
            stat.rows[key] = (sq * rq, sq, rq)
    categories = {category["id"]: category for category in truth["categories"]}
    kinds = {"All": None, "Things": True, "Stuff": False}
    return {name: stat.pq_average(categories, isthing=kind)[0] for name, kind in kinds.items()}


class PQStat:
    """PQ, SQ and RQ of each category that occurs."""

    def __init__(self):
        self.rows = {}

    def pq_average(self, categories, isthing):
        """As panopticapi's own, it divides by zero where no category of a kind occurs."""
        kind = {key for key, c in categories.items() if isthing in (None, bool(c["isthing"]))}
        rows = [row for key, row in self.rows.items() if key in kind]
        sums = [sum(column) for column in zip(*rows, strict=True)] or [0.0] * 3
        pq, sq, rq = (value / len(rows) for value in sums)
        return {"pq": pq, "sq": sq, "rq": rq, "n": len(rows)}, {}


def _read(folder, name):
    return rgb2id(np.asarray(Image.open(Path(folder) / name)))
