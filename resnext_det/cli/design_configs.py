"""Configs of designed networks: to train as a classifier and as a detector. Engine-neutral."""

import shlex
import textwrap
from pathlib import Path

from resnext_det.config.sources import SCHEME
from resnext_det.errors import UserError
from resnext_det.modeling.design import Design, DesignedWidths
from resnext_det.modeling.designed_network import RES2_CHANNELS, STEM_CHANNELS, DesignedNetwork
from resnext_det.whole_files import write_text_safe

_INDENT = " " * 12
_LINE = 100  # columns
_BASES = {
    "imagenet": (f"{SCHEME}Base-Classification.yaml", "ImageNet-1K, 100 epochs"),
    "cifar": (f"{SCHEME}CIFAR/Base-CIFAR-10.yaml", "CIFAR-10, the paper's recipe"),
}
_DETECTOR_BASE = f"{SCHEME}Base-RCNN-FPN.yaml"


def write_configs(
    designed: DesignedWidths, folder: str, command: str, *, detector: bool
) -> list[str]:
    """Writes a config for each design.

    Args:
        designed: the networks.
        folder: where to; it is made. Nothing in it is overwritten.
        command: that designs them, without cardinalities, for the headers.
        detector: whether to write Faster R-CNN with FPN on each, too.

    Returns:
        Paths of the files, those that were there already included.

    Raises:
        UserError: a file is there and differs (nothing is written then), the folder is a file
            or refuses files, or a detector of CIFAR's networks is asked for.
    """
    if detector and designed.reference.stem == "cifar":
        raise UserError(
            f"--detector: {designed.reference.name} is CIFAR's, without the res5 that FPN takes: "
            "drop the option, or choose another depth"
        )
    root = Path(folder)
    if root.exists() and not root.is_dir():
        raise UserError(f"--write {folder}: is a file; a folder is wanted")
    texts: dict[Path, str] = {}
    for design in designed.designs:
        classifier = root / f"{design.network.tag}.yaml"
        texts[classifier] = classifier_config(designed, design, classifier, command)
        if detector:
            path = root / f"faster_rcnn_{design.network.tag}_FPN_1x.yaml"
            texts[path] = detector_config(designed, design, path, command)
    missing = [path for path, text in texts.items() if not _is_there(path, text)]
    for path in missing:
        write_text_safe(path, texts[path])
    return [str(path) for path in texts]


def classifier_config(designed: DesignedWidths, design: Design, path: Path, command: str) -> str:
    """Returns the text of a config that trains the network on its data set."""
    base, data = _BASES[design.network.stem]
    config = shlex.quote(str(path))
    train = ["resnext-det train --num-gpus 8", f"--config-file {config}"]
    title = f"{design.network.name} on {data}; designed"
    return _config(title, train, base, designed, design, command, weights=False)


def detector_config(designed: DesignedWidths, design: Design, path: Path, command: str) -> str:
    """Returns the text of a config of Faster R-CNN with FPN on the network, on COCO."""
    config = shlex.quote(str(path))
    weights = f"MODEL.WEIGHTS path/to/{design.network.tag}/model_final.pth"
    train = ["resnext-det train --num-gpus 8", f"--config-file {config}", weights]
    title = f"Faster R-CNN with FPN on {design.network.name}, COCO, 1x schedule; designed"
    return _config(title, train, _DETECTOR_BASE, designed, design, command, weights=True)


def _config(
    title: str,
    train: list[str],
    base: str,
    designed: DesignedWidths,
    design: Design,
    command: str,
    *,
    weights: bool,
) -> str:
    """The header, with the fields of all configs of the package, and the keys."""
    reference, costs, above = designed.reference, design.costs, design.differences
    multiple = "" if designed.times == 1 else f"{designed.times:.4g} times "
    complexity = (
        f"{costs.params / 1e6:.2f} M parameters ({above.params:+.1f} %), {costs.flops / 1e9:.3f} G "
        f"multiply-adds ({above.flops:+.1f} %) of the classifier at {reference.image_size} px; "
        f"block, Eq. 4: {costs.block_params:,} ({above.block_params:+.1f} %); from {multiple}"
        f"{reference.name}"
    )
    lines = [
        *_wrapped(f"# {title} after {reference.name} {reference.template}.", "# "),
        "#",
        f"# Command:    {train[0]}" + " \\" * (len(train) > 1),
    ]
    for number, part in enumerate(train[1:], 2):
        lines.append(f"# {_INDENT}  {part}" + " \\" * (number < len(train)))
    fields = {
        "Complexity": complexity,
        "Cost": "not measured",
        "Expected": "none measured",
        "Source": f"`{command} --cardinality {design.network.num_groups}`",
    }
    for name, text in fields.items():
        lines += _wrapped(f"# {name + ':':<{len(_INDENT) - 1}} {text}", f"# {_INDENT}")
    lines += [f'_BASE_: "{base}"', *_keys(design.network, weights)]
    return "\n".join(lines) + "\n"


def _keys(network: DesignedNetwork, weights: bool) -> list[str]:
    lines = ["MODEL:"]
    if weights:
        lines.append('  WEIGHTS: ""  # the classifier trained first: see the command')
    lines += [
        "  RESNETS:",
        f"    DEPTH: {network.depth}",
        f"    NUM_GROUPS: {network.num_groups}",
        f"    WIDTH_PER_GROUP: {network.width_per_group}",
    ]
    if network.stem == "cifar":
        lines.append("    STEM: cifar")
    if network.stem_out_channels != STEM_CHANNELS:
        lines.append(f"    STEM_OUT_CHANNELS: {network.stem_out_channels}")
    if network.res2_out_channels != RES2_CHANNELS:
        lines.append(f"    RES2_OUT_CHANNELS: {network.res2_out_channels}")
    return lines


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, _LINE, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _is_there(path: Path, text: str) -> bool:
    """Whether the file is there, with this text.

    Raises:
        UserError: it is there with another one, or cannot be read.
    """
    try:
        there = path.read_bytes()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from error
    if there != text.encode():
        raise UserError(
            f"{path} is there and differs: nothing was written; move it away, or name another "
            "folder to --write"
        )
    return True
