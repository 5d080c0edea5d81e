"""What the classifiers' recipes cost: measures a training step of each network. Engine-neutral.

python -m tools.recipe_costs                     prints the measured costs
python -m tools.recipe_costs --measure           measures into configs/costs.json
python -m tools.recipe_costs --measure --device cuda --batch 32 --amp bfloat16
python -m tools.recipe_costs --write             puts the Cost lines into the headers

A step is forward, loss, backward and SGD on random pixels; reading images and averaging weights
are not in it. Each network alternates with ResNet-50 at 224 px, and its time is their ratio times
the reference's median over the whole run, so that a machine's slow minutes do not count against
one network. On a CPU the processor's time is taken: that of the machine's other work is not in it.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from statistics import median
from typing import Any

import torch
from fvcore.common.config import CfgNode

from resnext_det.config import load_config
from resnext_det.modeling.from_config import classifier_from_config
from resnext_det.timing.alternation import Rounds, alternate
from resnext_det.timing.conditions import conditions
from resnext_det.training.optimizer import build_optimizer
from tools.config_headers import CONFIGS
from tools.cost_lines import COSTS, cost_key, cost_text, recipe_files, with_cost

REFERENCE = CONFIGS / "ImageNet-Classification" / "R_50.yaml"


def measured_networks() -> dict[str, CfgNode]:
    """Returns what there is to measure: key -> a config with that network and size of crop."""
    found: dict[str, CfgNode] = {}
    for path in recipe_files():
        cfg = load_config(str(path)).cfg
        found.setdefault(cost_key(cfg), cfg)
    return found


def training_step(
    cfg: CfgNode, device: str, batch: int, amp: torch.dtype | None = None
) -> Callable[[], object]:
    """Returns a function that takes one training step of a config's network.

    Args:
        cfg: of a classifier; its network, INPUT.CLASSIFICATION.TRAIN_CROP and SOLVER count.
        device: "cpu" or "cuda".
        batch: images of the step.
        amp: of automatic mixed precision; None: float32.
    """
    torch.manual_seed(0)
    model = classifier_from_config(cfg).to(device).train()
    optimizer = build_optimizer(cfg, model)
    size = cfg.INPUT.CLASSIFICATION.TRAIN_CROP
    images = torch.randn(batch, 3, size, size, device=device)
    labels = torch.randint(cfg.MODEL.CLASSIFIER.NUM_CLASSES, (batch,), device=device)

    def step() -> None:
        with torch.autocast(device, dtype=amp, enabled=amp is not None):
            loss = torch.nn.functional.cross_entropy(model(images), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()

    return step


def measure(
    networks: Mapping[str, CfgNode], reference: CfgNode, args: argparse.Namespace
) -> dict[str, Any]:
    """Measures every network beside the reference.

    Returns:
        "reference", "batch", "amp", and "rows": key -> seconds_per_image, of_reference (the
        ratio) and rounds. A row's seconds are its ratio times the reference's median.
    """
    amp = getattr(torch, args.amp) if args.amp else None
    beside = training_step(reference, args.device, args.batch, amp)
    beside()
    rounds: dict[str, list[dict[str, float]]] = {}
    for key, cfg in networks.items():
        step = training_step(cfg, args.device, args.batch, amp)
        step()  # the first also allocates and, on a GPU, compiles
        taken = alternate({"reference": beside, "network": step}, args.rounds, cuda=_cuda(args))
        rounds[key] = clock_of(taken)
        print(f"{key}: {rounds[key]}", file=sys.stderr, flush=True)
        del step
    return {
        "reference": cost_key(reference),
        "batch": args.batch,
        "amp": args.amp,
        "rows": rows(rounds, args.batch),
    }


def clock_of(taken: Rounds) -> list[dict[str, float]]:
    """Returns the rounds of the processor's clock, on a GPU of the wall clock."""
    return taken.get("cpu", taken["wall"])


def rows(rounds: Mapping[str, Sequence[Mapping[str, float]]], batch: int) -> dict[str, Any]:
    """Returns key -> seconds_per_image, of_reference and rounds; see `measure`.

    Of each network's rounds the quickest step counts, its own and the reference's: other work on
    the machine takes caches and memory away, which only ever makes a step slower.
    """
    quickest = {
        key: {name: min(one[name] for one in found) for name in ("network", "reference")}
        for key, found in rounds.items()
    }
    reference = median(one["reference"] for one in quickest.values()) / batch
    ratios = {key: one["network"] / one["reference"] for key, one in quickest.items()}
    return {
        key: {
            "seconds_per_image": float(f"{ratio * reference:.4g}"),
            "of_reference": float(f"{ratio:.4g}"),
            "rounds": list(rounds[key]),
        }
        for key, ratio in ratios.items()
    }


def _cuda(args: argparse.Namespace) -> bool:
    return str(args.device).startswith("cuda")


def run_measurement(args: argparse.Namespace) -> None:
    """Measures every network, and writes it beside what was measured on other devices."""
    torch.set_num_threads(1)  # the hours are those of one core
    found = measure(measured_networks(), load_config(str(REFERENCE)).cfg, args)
    kept = json.loads(COSTS.read_text()) if COSTS.is_file() else {}
    kept[args.device] = {**conditions("-m tools.recipe_costs"), **found}
    COSTS.write_text(json.dumps(kept, indent=1) + "\n")


def print_costs(lines: Iterable[tuple[str, str]]) -> None:
    """Prints the cost of each file."""
    for name, text in lines:
        print(f"{name}: {text}")


def parse(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Costs of the classifiers' recipes")
    parser.add_argument("--measure", action="store_true", help=f"measure into {COSTS.name}")
    parser.add_argument("--write", action="store_true", help="put the Cost lines into the headers")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--batch", type=int, default=4, help="images of one step")
    parser.add_argument("--rounds", type=int, default=2, help="timed steps of each network")
    parser.add_argument("--amp", choices=("bfloat16", "float16"), help="default: float32")
    args = parser.parse_args(argv)
    if args.measure and _cuda(args) and not torch.cuda.is_available():
        parser.error("--device cuda: this torch sees no GPU")
    return args


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command; returns 0."""
    args = parse(argv)
    if args.measure:
        run_measurement(args)
    if args.write:
        for path in recipe_files():
            path.write_text(with_cost(path), encoding="utf-8")
    elif not args.measure:
        print_costs((p.relative_to(CONFIGS).as_posix(), cost_text(p)) for p in recipe_files())
    return 0


if __name__ == "__main__":
    sys.exit(main())
