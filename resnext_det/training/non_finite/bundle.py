"""A folder that holds all it takes to do one update again. Engine-neutral.

`OUTPUT_DIR/non_finite/iter_0000123/` has

- `bundle.json`: what was not finite, norms, rates, versions and how to do it again;
- `config.yaml`: the run's final config;
- `model.safetensors`: weights and buffers before the update;
- `rank_0.json`, `rank_0.safetensors`: the batch of each process.
"""

import json
import logging
import math
import shlex
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fvcore.common.config import CfgNode
from safetensors.torch import save_file
from torch import Tensor, nn

from resnext_det.config import dump_config
from resnext_det.errors import few, one_line
from resnext_det.seeding import derive_seed
from resnext_det.training.distributed import (
    all_gather_objects,
    broadcast_object,
    is_main,
    rank,
    world_size,
)
from resnext_det.training.non_finite.advice import suggested_rate, what_to_try
from resnext_det.training.non_finite.bundle_files import CONFIG, FACTS, FOLDER, MODEL
from resnext_det.training.non_finite.facts import (
    Trouble,
    bad_weights,
    gradient_norms,
    last_good_checkpoint,
    numbers,
    weight_norms,
)
from resnext_det.training.non_finite.trees import Kind, encode, not_finite
from resnext_det.training.result import versions
from resnext_det.whole_files import write_text_safe

FORMAT = 1
MOST_BUNDLES = 3
"""Bundles that a run's folder keeps; the oldest goes."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BatchForm:
    """How a task's batches are kept.

    Attributes:
        engine: as checkpoints and result.json name it.
        kinds: classes of objects that they hold.
        images: batch -> what each of its images is called: file_name, image_id or index.
    """

    engine: str
    kinds: Sequence[Kind]
    images: Callable[[Any], list[dict[str, Any]]]


class BundleWriter:
    """Writes the bundles of a run, in all processes together.

    Args:
        cfg: the final config, with SEED settled.
        form: of the batches.
        recipe_rate: see `LoadedConfig`.
    """

    def __init__(self, cfg: CfgNode, form: BatchForm, recipe_rate: float = math.inf) -> None:
        self._cfg = cfg
        self._form = form
        self._rate = suggested_rate(cfg, recipe_rate)
        self._root = Path(cfg.OUTPUT_DIR) / FOLDER

    def write(self, trouble: Trouble) -> str:
        """Writes a bundle; what goes wrong with that is part of the message, and nothing more.

        Returns:
            The rest of the message: where the bundle is and what to try, the same in every process.
        """
        folder = self._root / f"iter_{trouble.iteration:07d}"
        temporary = folder.with_name(f".{folder.name}")
        mine: dict[str, Any] = {}
        facts: dict[str, Any] = {}
        shares: list[dict[str, Any]] = []
        steps = (
            lambda: _make_anew(temporary) if is_main() else None,
            lambda: mine.update(self._share(trouble, temporary)),
            lambda: shares.extend(all_gather_objects(mine)),
            lambda: facts.update(self._whole(trouble, temporary, folder, shares)),
        )
        try:
            problem = _together(steps)
        finally:
            if is_main():
                shutil.rmtree(temporary, ignore_errors=True)
        where = f"no bundle was kept ({problem})" if problem else _how_to_see(folder, self._cfg)
        return f"{where}; {broadcast_object(self._advice(trouble, shares, facts))}"

    def _share(self, trouble: Trouble, folder: Path) -> dict[str, Any]:
        """Writes this process's batch; returns what is said of it."""
        tensors: dict[str, Tensor] = {}
        said: dict[str, Any] = {
            "rank": rank(),
            "torch_seed": derive_seed(self._cfg.SEED, trouble.iteration, rank()),
            "images": self._form.images(trouble.batch),
            "terms": numbers({name: float(loss) for name, loss in trouble.step.own.items()}),
        }
        try:
            said["batch"] = encode(trouble.batch, self._form.kinds, tensors)
        except TypeError as error:  # a mapper of the user's own
            said["not_kept"] = f"{error}, which no bundle takes"
            tensors = {}
        said["not_finite"] = [{"place": n, "values": v} for n, v in not_finite(tensors)]
        write_text_safe(folder / f"rank_{rank()}.json", _as_json(said))
        save_file(tensors, folder / f"rank_{rank()}.safetensors")
        return {key: value for key, value in said.items() if key != "batch"}

    def _whole(
        self, trouble: Trouble, temporary: Path, folder: Path, shares: Sequence[dict[str, Any]]
    ) -> dict[str, Any]:
        """Writes the rest and moves all into its place; returns what bundle.json says.

        The main process alone does.
        """
        if not is_main():
            return {}
        (temporary / CONFIG).write_text(dump_config(self._cfg))
        save_file(_state_of(trouble.model), temporary / MODEL)
        facts = self._facts(trouble, shares)
        facts["command"] = _command(folder, self._cfg)
        facts["bytes"] = {path.name: path.stat().st_size for path in sorted(temporary.iterdir())}
        write_text_safe(temporary / FACTS, _as_json(facts))
        shutil.rmtree(folder, ignore_errors=True)  # of the same iteration, before a resume
        temporary.rename(folder)
        size = sum(facts["bytes"].values()) / 1e6
        logger.info("Kept %s, %.1f MB, most of it the model before the update", folder, size)
        self._drop_oldest()
        return facts

    def _facts(self, trouble: Trouble, shares: Sequence[dict[str, Any]]) -> dict[str, Any]:
        step, cfg = trouble.step, self._cfg
        rate = self._rate
        return {
            "format": FORMAT,
            "engine": self._form.engine,
            "iteration": trouble.iteration,
            "processes": world_size(),
            "reason": trouble.reason,
            "error": step.error,
            "terms": numbers(step.terms),
            "not_finite": list(step.bad_terms),
            "learning_rates": list(trouble.rates),
            "suggested_base_lr": {"value": rate.value, "rule": rate.rule},
            "scaler": dict(trouble.scaler),
            "parts": {name: dict(state) for name, state in trouble.parts.items()},
            "seed": cfg.SEED,
            "shares": list(shares),
            "gradients": gradient_norms(trouble),
            "weights": weight_norms(trouble.model),
            "weights_not_finite": bad_weights(trouble.model),
            "last_good_checkpoint": last_good_checkpoint(Path(cfg.OUTPUT_DIR)),
            "versions": versions(),
        }

    def _advice(
        self, trouble: Trouble, shares: Sequence[dict[str, Any]], facts: dict[str, Any]
    ) -> str:
        bad = [_images_of(share) for share in shares if share.get("not_finite")]
        weights = facts.get("weights_not_finite", [])
        good = facts.get("last_good_checkpoint")
        return what_to_try(
            self._rate,
            bad_data="; ".join(bad),
            bad_weight=weights[0] if weights else "",
            checkpoint=str(Path(self._cfg.OUTPUT_DIR) / good["name"]) if good else "",
        )

    def _drop_oldest(self) -> None:
        bundles = sorted(self._root.glob("iter_*"), key=lambda path: path.stat().st_mtime_ns)
        for folder in bundles[:-MOST_BUNDLES]:
            logger.info("%s goes: the newest %d bundles are kept", folder, MOST_BUNDLES)
            shutil.rmtree(folder, ignore_errors=True)


def _together(steps: Sequence[Callable[[], object]]) -> str:
    """Does each step in every process, up to the first that goes wrong in any of them.

    Returns:
        What went wrong, the same in every process; "" where nothing did.
    """
    for step in steps:
        problem = ""
        try:
            step()
        except Exception as error:  # a full disk, or anything: the run's own trouble comes first
            problem = one_line(_short(error))
        if found := next(filter(None, all_gather_objects(problem)), ""):
            return found
    return ""


def _short(error: BaseException) -> str:
    """What the disk said, where it is behind it; else the first line."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror
        cause = cause.__context__
    return (str(error).splitlines() or [type(error).__name__])[0]


def _make_anew(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _state_of(model: nn.Module) -> dict[str, Tensor]:
    """Copies, since a file of tensors takes none that share their memory."""
    state = model.state_dict()
    return {name: value.detach().to("cpu", copy=True).contiguous() for name, value in state.items()}


def _images_of(share: dict[str, Any]) -> str:
    """Names what is not finite in a batch: "image.jpg: 0.gt_boxes"."""
    names = [str(next(iter(image.values()), "?")) for image in share["images"]]
    found = []
    for place in (entry["place"] for entry in share["not_finite"]):
        number = place.split(".")[0]
        known = number.isdecimal() and int(number) < len(names)
        found.append(f"{names[int(number)]}: {place}" if known else place)
    return one_line(few(found))


def _command(folder: Path, cfg: CfgNode) -> str:
    file = " --config-file FILE.py" if cfg.LAZY_CONFIG else ""
    return f"resnext-det reproduce {shlex.quote(str(folder))}{file}"


def _how_to_see(folder: Path, cfg: CfgNode) -> str:
    return f"kept in {folder}, see `{_command(folder, cfg)}`"


def _as_json(content: Any) -> str:
    return json.dumps(content, indent=1, allow_nan=False) + "\n"
