"""What a checkpoint's digest and seal cost, beside writing and reading the file. Engine-neutral.

    python -m tools.checkpoint_cost --folder /tmp --json tests/training/checkpoint_cost.json

The checkpoint is a classifier's with the momentum of SGD: 200 MB for ResNeXt-50. Seconds are those
of the clock, the file brought to the disk included; the median of several calls.
"""

import argparse
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from resnext_det import build_classifier
from resnext_det.content_digests import digest_of_content
from resnext_det.training.checkpoint_file import is_whole, load_checkpoint, write_checkpoint
from resnext_det.whole_files import write_safe


def build_content(variant: str) -> dict[str, Any]:
    """Returns what a run of the variant would save."""
    torch.manual_seed(0)
    model = build_classifier(variant, num_classes=1000)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    for parameter in model.parameters():
        parameter.grad = torch.rand_like(parameter)
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "iteration": 4}


def median_seconds(call: Callable[[], object], times: int) -> float:
    """Returns the clock's seconds of a call; one before is not counted."""
    found = []
    for _ in range(times + 1):
        began = time.perf_counter()
        call()
        found.append(time.perf_counter() - began)
    return round(statistics.median(found[1:]), 3)


def measure(content: dict[str, Any], path: Path, times: int) -> dict[str, float]:
    """Returns seconds by what is done."""
    plain = median_seconds(lambda: write_safe(path, content), times)
    plain_read = median_seconds(lambda: torch.load(path, weights_only=True), times)
    return {
        "write_plain": plain,
        "write": median_seconds(lambda: write_checkpoint(path, content), times),
        "digest_alone": median_seconds(lambda: digest_of_content(content), times),
        "read_plain": plain_read,
        "read_verified": median_seconds(lambda: load_checkpoint(path), times),
        "verify_in_place": median_seconds(lambda: is_whole(path), times),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measures and writes the JSON."""
    parser = argparse.ArgumentParser(prog="tools.checkpoint_cost", description=__doc__)
    parser.add_argument("--variant", default="resnext50_32x4d")
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--folder", type=Path, help="on the disk to measure")
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(dir=args.folder) as folder:
        path = Path(folder, "model_0000004.pth")
        seconds = measure(build_content(args.variant), path, args.times)
        megabytes = round(path.stat().st_size / 1e6, 1)
    content = {
        "command": f"python -m tools.checkpoint_cost --variant {args.variant} --times {args.times}",
        "torch": torch.__version__,
        "machine": platform.machine(),
        "megabytes": megabytes,
        "seconds": seconds,
    }
    print(json.dumps(content, indent=1))
    if args.json:
        args.json.write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main()
