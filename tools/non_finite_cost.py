"""What looking at each update's losses and gradient costs, beside the update. Engine-neutral.

    python -m tools.non_finite_cost --pairs 8 --json tests/training/non_finite/cost.json

Updates of a classifier, with the look and without, take turns; each pair gives a ratio of processor
time. Where that varies more than the look costs, `look_share` says it: the look alone, beside the
update without it. The look is what `TrainLoop` does beside the update: it remembers the buffers,
takes the gradient's norm, and fetches losses and norm at once; else the losses alone are fetched.
"""

import argparse
import json
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from resnext_det import build_classifier
from resnext_det.training.distributed import mean_over_processes
from resnext_det.training.non_finite.guard import NonFiniteGuard
from resnext_det.training.non_finite.step import gradient_norm, largest, take_step
from resnext_det.training.passes import Passes

Update = Callable[[], object]


def losses(model: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the cross-entropy."""
    images, labels = batch
    return {"loss_cls": functional.cross_entropy(model(images), labels)}


def build_updates(variant: str, images: int, size: int) -> tuple[Update, Update, Update]:
    """Returns an update with the look, one without and the look alone, of one model and batch."""
    torch.manual_seed(0)
    model = build_classifier(variant, num_classes=1000).train()
    batch = (torch.rand(images, 3, size, size), torch.arange(images))
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, foreach=True)
    passes = Passes(losses)
    guard = NonFiniteGuard(model, optimizer, passes.scaler)

    def looked_at() -> None:
        optimizer.zero_grad()
        guard.remember()
        step = take_step(passes, model, batch, guard.parameters, buffers=guard.buffers)
        assert guard.allows(step, 0, batch)
        optimizer.step()

    def plain() -> None:
        optimizer.zero_grad()
        mean_over_processes(passes.backward(model, batch))
        optimizer.step()

    def look() -> None:
        guard.remember()
        float(gradient_norm(guard.parameters))
        float(largest(guard.buffers.values()))

    return looked_at, plain, look


def cpu_seconds(update: Update) -> float:
    """Returns the processor time of one call."""
    began = time.process_time()
    update()
    return time.process_time() - began


def measure(updates: Sequence[Update], pairs: int) -> list[tuple[float, float]]:
    """Returns the seconds of each pair, the first of a pair changing in turn."""
    for update in updates:
        update()  # memory is allocated once
    found = []
    for number in range(pairs):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        seconds = {which: cpu_seconds(updates[which]) for which in order}
        found.append((seconds[0], seconds[1]))
    return found


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(prog="tools.non_finite_cost", description=__doc__)
    parser.add_argument("--variant", default="resnext50_32x4d")
    parser.add_argument("--images", type=int, default=2)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--pairs", type=int, default=8)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    *updates, look = build_updates(args.variant, args.images, args.size)
    pairs = measure(updates, args.pairs)
    looks = [cpu_seconds(look) for _ in range(20)]
    plain_median = statistics.median(plain for _, plain in pairs)
    ratios = sorted(looked_at / plain for looked_at, plain in pairs)
    content = {
        "command": f"python -m tools.non_finite_cost --variant {args.variant} --images "
        f"{args.images} --size {args.size} --pairs {args.pairs}",
        "torch": torch.__version__,
        "machine": platform.machine(),
        "threads": 1,
        "seconds": [{"looked_at": round(a, 4), "plain": round(b, 4)} for a, b in pairs],
        "look_seconds": round(statistics.median(looks), 5),
        "look_share": round(statistics.median(looks) / plain_median, 5),
        "ratio_median": round(statistics.median(ratios), 4),
        "ratio_lowest": round(ratios[0], 4),
        "ratio_highest": round(ratios[-1], 4),
    }
    print(json.dumps(content, indent=1))
    if args.json:
        args.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
