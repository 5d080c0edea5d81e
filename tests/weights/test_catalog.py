"""The catalogue of public weights says what the libraries and the projects say. Engine-neutral."""

import hashlib
import json
import re
from dataclasses import fields, replace
from pathlib import Path

import pytest
import timm
import torchvision
from timm.models import get_pretrained_cfg

import resnext_det
from resnext_det.errors import UserError
from resnext_det.modeling import list_variants
from resnext_det.weights import catalog as catalog_module
from resnext_det.weights.cache import parse_address
from resnext_det.weights.catalog import (
    CatalogEntry,
    catalog,
    entries_of,
    find_by_digest,
    find_by_file,
    find_entry,
)
from resnext_det.weights.remote import resolve_name
from resnext_det.weights.remote_names import is_plain_resnet

REPOSITORY = Path(__file__).parents[2]
ENTRIES = catalog()
LICENCES = {"", "Apache-2.0", "BSD-3-Clause", "CC-BY-NC-4.0", "CC-BY-SA-3.0"}
ORIGINS = {"torchvision", "timm", "mmpretrain", "pycls", "detectron2", "detectron", "torch7"}


def of(origin: str) -> list[CatalogEntry]:
    return [entry for entry in ENTRIES if entry.origin == origin]


def test_the_file_has_each_field_and_no_other():
    tree = json.loads((Path(catalog_module.__file__).with_name("catalog.json")).read_text())
    assert tree.keys() == {"sources", "entries"}
    names = {field.name for field in fields(CatalogEntry)}
    for entry in tree["entries"]:
        assert entry.keys() == names
        assert entry["convention"].keys() == {"format", "mean", "std", "stride_in_1x1"}
    states = {name: state for name, state in tree["sources"].items() if "/" in name}
    assert all(re.fullmatch(r"[0-9a-f]{40}", state) for state in states.values())
    assert len(states) == 7


def test_specs_are_different_and_mean_something():
    specs = [entry.spec for entry in ENTRIES]
    assert len(set(specs)) == len(specs)
    for entry in ENTRIES:
        named = resolve_name(entry.spec)
        assert named.known.architecture == entry.variant
        assert named.known.convention == entry.convention
        assert named.known.norm == entry.norm


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.spec)
def test_values_are_in_range(entry):
    assert entry.origin in ORIGINS
    assert entry.licence in LICENCES
    assert bool(entry.licence) == bool(entry.licence_source)
    assert bool(entry.accuracy) == bool(entry.accuracy_source)
    assert all(10 < value < 100 for value in entry.accuracy.values())
    figures = {"top1", "top5"} if entry.task == "classification" else {"AP", "AR", "PQ"}
    figures |= set() if entry.task == "classification" else {"mask_AP", "keypoint_AP"}
    assert entry.accuracy.keys() <= figures
    assert entry.convention.format in ("RGB", "BGR")
    assert entry.norm in ("BN", "affine", "GN")
    assert entry.variant in list_variants() or re.fullmatch(
        r"resnet\d+_1x\d+d|resnext\d+_\d+x\d+d", entry.variant
    )
    assert bool(entry.config) == (entry.task == "detection")
    if entry.config:
        assert (REPOSITORY / "configs" / entry.config).is_file()


def test_digests_are_those_in_the_names():
    for entry in ENTRIES:
        if entry.address:
            wanted = parse_address(entry.address)
            assert (wanted.sha256, wanted.md5) == (entry.sha256, entry.md5), entry.spec
        else:
            assert not entry.sha256
            assert not entry.md5


def test_torchvisions_are_all_there_and_as_the_library_says():
    expected = {}
    for name in torchvision.models.list_models():
        if is_plain_resnet(name):
            for weights in torchvision.models.get_model_weights(name):
                expected[f"torchvision://{name}/{weights.name}"] = weights
    found = {entry.spec: entry for entry in of("torchvision")}
    assert found.keys() == expected.keys()
    for spec, weights in expected.items():
        figures = weights.meta["_metrics"]["ImageNet-1K"]
        assert found[spec].address == weights.url
        assert found[spec].accuracy == {"top1": figures["acc@1"], "top5": figures["acc@5"]}
        assert found[spec].num_classes == len(weights.meta["categories"]) == 1000


def test_timms_are_all_there_and_as_the_library_says():
    names = [name for name in timm.list_pretrained() if is_plain_resnet(name.partition(".")[0])]
    found = {entry.spec: entry for entry in of("timm")}
    assert found.keys() == {f"timm://{name}" for name in names}
    for name in names:
        settings = get_pretrained_cfg(name)
        entry = found[f"timm://{name}"]
        assert entry.num_classes == settings.num_classes
        assert entry.address == (settings.url or "")
        assert entry.licence.lower() == (settings.license or "")
        assert entry.convention.mean == pytest.approx([255 * value for value in settings.mean])
        assert entry.convention.std == pytest.approx([255 * value for value in settings.std])


def test_variants_are_those_that_the_names_say():
    for entry in of("torchvision") + of("timm"):
        name = entry.spec.partition("://")[2].partition("/")[0].partition(".")[0]
        expected = re.sub(r"^wide_(resnet\d+)_2$", r"\1_1x128d", name)
        assert entry.variant == expected


def figures(origin: str, key: str, **what) -> dict[str, float]:
    entries = [e for e in of(origin) if all(getattr(e, k) == v for k, v in what.items())]
    return {entry.variant: entry.accuracy[key] for entry in entries}


def test_the_published_table():
    """The model table that this project answers to, which is mmpretrain's."""
    table = {
        "resnext50_32x4d": (77.90, 93.66),
        "resnext101_32x4d": (78.61, 94.17),
        "resnext101_32x8d": (79.27, 94.58),
        "resnext152_32x4d": (78.88, 94.33),
    }
    top1, top5 = figures("mmpretrain", "top1"), figures("mmpretrain", "top5")
    assert {name: (top1[name], top5[name]) for name in table} == table


def test_the_authors_and_pycls_errors():
    authors = {"resnext50_32x4d": 77.8, "resnext101_32x4d": 78.8, "resnext101_64x4d": 79.6}
    found = [entry for entry in of("torch7") if "resnext" in entry.variant]
    assert {entry.variant: entry.accuracy["top1"] for entry in found} == authors
    assert {entry.licence for entry in found} == {"CC-BY-NC-4.0"}
    assert figures("pycls", "top1") == {
        "resnet50": 76.8,
        "resnext50_32x4d": 78.1,
        "resnet101": 78.6,
        "resnext101_32x4d": 79.3,
        "resnet152": 79.1,
        "resnext152_32x4d": 79.6,
    }


def test_torchvisions_figures():
    expected = {
        "resnext50_32x4d/IMAGENET1K_V1": 77.618,
        "resnext50_32x4d/IMAGENET1K_V2": 81.198,
        "resnext101_32x8d/IMAGENET1K_V1": 79.312,
        "resnext101_32x8d/IMAGENET1K_V2": 82.834,
        "resnext101_64x4d/IMAGENET1K_V1": 83.246,
        "resnet50/IMAGENET1K_V1": 76.130,
        "resnet50/IMAGENET1K_V2": 80.858,
        "resnet101/IMAGENET1K_V1": 77.374,
        "resnet101/IMAGENET1K_V2": 81.886,
    }
    for name, top1 in expected.items():
        assert find_entry(f"torchvision://{name}").accuracy["top1"] == top1


def test_the_zoos_figures():
    found = {entry.config: entry for entry in of("detectron2") if entry.config}
    expected = {
        "COCO-Detection/faster_rcnn_R_50_C4_1x.yaml": {"AP": 35.7},
        "COCO-Detection/faster_rcnn_R_50_DC5_1x.yaml": {"AP": 37.3},
        "COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml": {"AP": 37.9},
        "COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml": {"AP": 40.2},
        "COCO-Detection/faster_rcnn_R_101_FPN_3x.yaml": {"AP": 42.0},
        "COCO-Detection/faster_rcnn_X_101_32x8d_FPN_3x.yaml": {"AP": 43.0},
        "COCO-Detection/retinanet_R_50_FPN_1x.yaml": {"AP": 37.4},
        "COCO-Detection/retinanet_R_101_FPN_3x.yaml": {"AP": 40.4},
        "COCO-InstanceSegmentation/mask_rcnn_R_50_FPN_1x.yaml": {"AP": 38.6, "mask_AP": 35.2},
        "COCO-InstanceSegmentation/mask_rcnn_R_101_FPN_3x.yaml": {"AP": 42.9, "mask_AP": 38.6},
        "COCO-InstanceSegmentation/mask_rcnn_X_101_32x8d_FPN_3x.yaml": {
            "AP": 44.3,
            "mask_AP": 39.5,
        },
    }
    assert {config: found[config].accuracy for config in expected} == expected
    assert {entry.licence for entry in found.values()} == {"CC-BY-SA-3.0"}


@pytest.mark.d2
def test_the_zoos_addresses_are_those_of_the_installed_detectron2(monkeypatch):
    import sys
    import types

    # model_zoo.py wants setuptools' pkg_resources, which new setuptools have not.
    monkeypatch.setitem(sys.modules, "pkg_resources", types.ModuleType("pkg_resources"))
    from detectron2.model_zoo.model_zoo import _ModelZooUrls

    for entry in of("detectron2"):
        if entry.config:
            assert _ModelZooUrls.query(entry.config) == entry.address


def test_conventions_of_bgr_files_and_none_else():
    bgr = {"pycls", "detectron", "detectron2"}
    for entry in ENTRIES:
        if entry.origin not in bgr:
            assert entry.convention.format == "RGB"
        elif "torchvision" not in entry.spec:
            assert entry.convention.format == "BGR"
            assert entry.convention.mean == (103.53, 116.28, 123.675)
    msra = [entry for entry in ENTRIES if entry.convention.stride_in_1x1]
    assert {entry.variant for entry in msra} == {"resnet50", "resnet101"}
    assert {entry.origin for entry in msra} == {"detectron", "detectron2"}


def test_a_file_is_known_by_its_digest_whatever_it_is_called(tmp_path, monkeypatch):
    assert find_by_digest(sha256="7cdf4587" + "0" * 56).spec == (
        "torchvision://resnext50_32x4d/IMAGENET1K_V1"
    )
    zoo = find_by_digest(md5="68b088" + "0" * 26)
    assert zoo.config == "COCO-Detection/faster_rcnn_X_101_32x8d_FPN_3x.yaml"
    assert find_by_digest("0" * 64, "0" * 32) is None
    assert find_by_digest() is None


def test_a_detector_is_known_by_name_and_md5_together(tmp_path, monkeypatch):
    data = b"weights"
    md5 = hashlib.md5(data).hexdigest()
    name = f"model_final_{md5[:6]}.pkl"
    values = {"address": f"https://host/{name}", "sha256": "", "md5": md5[:6]}
    known = replace(ENTRIES[0], **values)
    monkeypatch.setattr(catalog_module, "catalog", lambda: (known,))
    for file, content, expected in (
        (name, data, known),
        (name, b"others", None),
        ("other.pkl", data, None),
    ):
        (tmp_path / file).write_bytes(content)
        assert find_by_file(tmp_path / file, hashlib.sha256(content).hexdigest()) == expected


def test_entries_of_a_variant_come_best_first():
    for variant in list_variants():
        entries = [e for e in entries_of(variant) if e.task == "classification"]
        top1 = [entry.accuracy.get("top1", 0.0) for entry in entries]
        assert top1 == sorted(top1, reverse=True)
    assert entries_of("resnext50_2x40d") == ()
    with pytest.raises(UserError, match=r"no variant is named 'resnext50_32x4'.*resnext50_32x4d"):
        entries_of("resnext50_32x4")


def test_the_configs_name_weights_of_the_catalogue():
    specs = {entry.spec for entry in ENTRIES}
    pattern = re.compile(r'WEIGHTS: "((?:torchvision|timm|detectron2)://[^"]+)"')
    for path in (Path(resnext_det.__file__).parents[1] / "configs").rglob("*.yaml"):
        for spec in pattern.findall(path.read_text()):
            assert spec in specs, path
