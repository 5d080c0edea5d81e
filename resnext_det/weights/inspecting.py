"""What a weights file is, without running anything of it. Engine-neutral."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from resnext_det.config import config_root
from resnext_det.config.sources import SCHEME
from resnext_det.modeling.variants import get_variant
from resnext_det.weights.architecture import Architecture, infer_architecture, special_parts
from resnext_det.weights.completeness import compare_with_network
from resnext_det.weights.content import FileContent
from resnext_det.weights.heads import Head, infer_head
from resnext_det.weights.naming.base import Naming
from resnext_det.weights.opening import Opened, open_weights
from resnext_det.weights.suspicions import Suspicion, find_suspicions

_BUFFERS = (".running_mean", ".running_var", ".num_batches_tracked")
# Kind of head -> the config of it in `configs/`, with the network's short name in it.
_CONFIGS = {
    "classifier": "ImageNet-Classification/{}.yaml",
    "Faster R-CNN": "COCO-Detection/faster_rcnn_{}_{neck}_1x.yaml",
    "Fast R-CNN": "COCO-Detection/fast_rcnn_{}_{neck}_1x.yaml",
    "Cascade R-CNN": "COCO-Detection/cascade_rcnn_{}_{neck}_1x.yaml",
    "RetinaNet": "COCO-Detection/retinanet_{}_{neck}_1x.yaml",
    "FCOS": "COCO-Detection/fcos_{}_{neck}_1x.py",
    "RPN": "COCO-Detection/rpn_{}_{neck}_1x.yaml",
    "Mask R-CNN": "COCO-InstanceSegmentation/mask_rcnn_{}_{neck}_1x.yaml",
    "Cascade Mask R-CNN": "COCO-InstanceSegmentation/cascade_mask_rcnn_{}_{neck}_1x.yaml",
    "Keypoint R-CNN": "COCO-Keypoints/keypoint_rcnn_{}_{neck}_1x.yaml",
    "Panoptic FPN": "COCO-PanopticSegmentation/panoptic_fpn_{}_1x.yaml",
}
_START = "COCO-Detection/faster_rcnn_{}_FPN_1x.yaml"  # of a detector from a backbone


@dataclass(frozen=True)
class Inspection:
    """All that can be said of a file.

    Attributes:
        opened: the file itself, and who says what of it.
        architecture: None where nobody knows the names, or they are of no ResNet.
        head: likewise.
        special: what it has that no plain ResNet or ResNeXt has.
        share_known: tensors that have a place in our networks, of all; None where nobody knows
            the names.
        unknown: names in the file, or ours where they were renamed, that have no place.
        missing: our names of what its backbone lacks.
        suspicions: odd numbers.
        hints: config keys and configs to use it with, a line each.
    """

    opened: Opened
    architecture: Architecture | None
    head: Head | None
    special: tuple[str, ...]
    share_known: float | None
    unknown: tuple[str, ...]
    missing: tuple[str, ...]
    suspicions: tuple[Suspicion, ...]
    hints: tuple[str, ...]

    @property
    def num_params(self) -> int:
        """Numbers that are trained: all but the statistics and counters of norms."""
        return sum(
            value.numel()
            for name, value in self.opened.content.tensors.items()
            if not name.endswith(_BUFFERS)
        )

    @property
    def dtypes(self) -> dict[str, int]:
        """Name of the dtype -> number of tensors, the most frequent first."""
        kinds = Counter(
            str(value.dtype).removeprefix("torch.")
            for value in self.opened.content.tensors.values()
        )
        return dict(kinds.most_common())


def inspect_weights(spec: str) -> Inspection:
    """Looks into a file of any known form, or what a name stands for.

    Args:
        spec: whatever MODEL.WEIGHTS takes, but "".

    Raises:
        UserError: it is not there, cannot be fetched, or is no weights file.
    """
    opened = open_weights(spec)
    content = opened.content
    state = opened.renamed.state if opened.renamed else None
    architecture = infer_architecture(state) if state is not None else None
    head = infer_head(state) if state is not None else None
    share, unknown, missing = _places(opened, architecture)
    return Inspection(
        opened=opened,
        architecture=architecture,
        head=head,
        special=special_parts([*content.tensors, *(state or ())]),
        share_known=share,
        unknown=unknown,
        missing=missing,
        suspicions=tuple(find_suspicions(content.tensors if state is None else state, head)),
        hints=tuple(_hints(architecture, head)),
    )


def as_json(inspection: Inspection) -> dict[str, Any]:
    """Returns everything as plain numbers, strings, lists and mappings."""
    opened = inspection.opened
    known, architecture, head = opened.known, inspection.architecture, inspection.head
    convention = known.convention
    return {
        "source": opened.source,
        "container": opened.content.container,
        "bytes": opened.path.stat().st_size,
        "sha256": opened.sha256,
        "tensors_sha256": opened.digest,
        "side_car": opened.side_car,
        "problems": list(opened.problems),
        "naming": opened.naming.name if opened.naming else None,
        "refusal": opened.refusal or None,
        "architecture": _architecture_json(architecture) if architecture else None,
        "special": list(inspection.special),
        "head": _head_json(head) if head else None,
        "tensors": len(opened.content.tensors),
        "params": inspection.num_params,
        "dtypes": inspection.dtypes,
        "share_known": inspection.share_known,
        "unknown": list(inspection.unknown),
        "missing": list(inspection.missing),
        "convention": convention.as_keys() if convention else None,
        "convention_from": opened.said.who_says("convention"),
        "origin": known.origin or None,
        "norm_eps": known.norm_eps,
        "licence": known.licence or None,
        "accuracy": dict(known.accuracy),
        "class_names": list(known.class_names),
        "beside_the_tensors": sorted(map(str, opened.content.extras)),
        "passed_over": list(opened.content.ignored),
        "suspicions": [
            {"kind": s.kind, "text": s.text, "tensors": list(s.names)}
            for s in inspection.suspicions
        ],
        "hints": list(inspection.hints),
    }


def _architecture_json(architecture: Architecture) -> dict[str, Any]:
    return {
        "name": architecture.name,
        "variant": architecture.variant,
        "kind": architecture.kind,
        "depth": architecture.depth,
        "num_groups": architecture.num_groups,
        "width_per_group": architecture.width_per_group,
        "blocks": dict(architecture.blocks),
        "bottleneck": architecture.bottleneck,
        "stem": architecture.stem or None,
        "norm": architecture.norm or None,
    }


def _head_json(head: Head) -> dict[str, Any]:
    return {
        "kind": head.kind,
        "num_classes": head.num_classes,
        "neck": head.neck or None,
        "parts": list(head.parts),
        "words": str(head),
    }


def _places(
    opened: Opened, architecture: Architecture | None
) -> tuple[float | None, tuple[str, ...], tuple[str, ...]]:
    """Returns the share of tensors that have a place, the names that have none, and the missing."""
    if opened.naming is None:
        return None, (), ()
    if opened.renamed is None:
        unknown = tuple(_refused(opened.naming, opened.content))
        return _share(len(opened.content.tensors), len(unknown)), unknown, ()
    found = compare_with_network(opened.renamed.state, architecture)
    share = _share(len(opened.renamed.state), len(found.unknown))
    return share, found.unknown, found.missing


def _refused(naming: Naming, content: FileContent) -> Iterable[str]:
    """The names that a table of names has no place for, asked one by one."""
    for name, value in content.tensors.items():
        try:
            naming.to_ours(FileContent(content.container, {name: value}))
        except (ValueError, LookupError):  # UnknownNames; or the table wants more than one tensor
            yield name


def _share(total: int, without: int) -> float:
    return 1.0 - without / total if total else 0.0


def _hints(architecture: Architecture | None, head: Head | None) -> Iterable[str]:
    """How a config names the network, and which of our configs have it."""
    if architecture is None or architecture.special:
        return
    if architecture.variant is None:
        yield " ".join(f"MODEL.RESNETS.{key} {value}" for key, value in _numbers(architecture))
        return
    yield f"MODEL.RESNETS.VARIANT {architecture.variant}"
    for template in _templates(architecture, head):
        name = template.format(_short_name(architecture), neck=head.neck if head else "")
        if (config_root() / name).is_file():
            yield f"--config-file {SCHEME}{name}"


def _numbers(architecture: Architecture) -> Iterable[tuple[str, int]]:
    """Key below MODEL.RESNETS and value of a network that no variant is."""
    yield "DEPTH", architecture.depth
    yield "NUM_GROUPS", architecture.num_groups
    yield "WIDTH_PER_GROUP", architecture.width_per_group
    if architecture.res2_out_channels is not None:
        yield "RES2_OUT_CHANNELS", architecture.res2_out_channels
    if architecture.stem_out_channels is not None:
        yield "STEM_OUT_CHANNELS", architecture.stem_out_channels


def _templates(architecture: Architecture, head: Head | None) -> Sequence[str]:
    kind = head.kind if head else "none"
    own = [_CONFIGS[kind]] if kind in _CONFIGS else []
    if architecture.stem == "cifar":
        return [f"CIFAR/{{}}_cifar{head.num_classes if head else 10}.yaml"]
    return [*own, _START] if kind in ("classifier", "none") else own


def _short_name(architecture: Architecture) -> str:
    """As in the names of configs: R_50, X_101_32x4d, R_101_1x100d."""
    assert architecture.variant is not None
    _, _, numbers = get_variant(architecture.variant).name.partition("_")
    letter = "X" if architecture.kind == "ResNeXt" else "R"
    return "_".join(part for part in (letter, str(architecture.depth), numbers) if part)
