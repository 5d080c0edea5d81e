"""Weights by name: which file a name stands for, and what is known of it. Engine-neutral."""

import logging

import pytest
import timm
import torch
import torchvision
from safetensors.torch import save_file
from timm.models import get_pretrained_cfg

from resnext_det.errors import UserError
from resnext_det.file_digests import sha256_of
from resnext_det.http_files import Patience
from resnext_det.weights import remote
from resnext_det.weights.cache import parse_address, place_of
from resnext_det.weights.catalog import find_entry
from resnext_det.weights.convention import torchvision_convention
from resnext_det.weights.remote import fetch_weights, find_cached, resolve_name
from resnext_det.weights.remote_names import is_plain_resnet
from resnext_det.weights.sources import resolve_weights
from tests.data.sharded import serving


@pytest.fixture(autouse=True)
def _caches(caches, monkeypatch):
    monkeypatch.setattr("resnext_det.weights.cache._PATIENCE", Patience(tries=1))


@pytest.fixture(scope="module")
def states():
    torch.manual_seed(0)
    return {name: torchvision.models.get_model(name).state_dict() for name in ("resnet18",)}


def refused(spec: str) -> str:
    with pytest.raises(UserError) as error:
        resolve_weights(spec)
    assert "\n" not in str(error.value)
    return str(error.value)


class FakeServer:
    """Stands in for the network: an address, and the file that it leads to."""

    def __init__(self, monkeypatch) -> None:
        self.files, self.asked = {}, []
        monkeypatch.setattr("resnext_det.weights.cache.fetch_file", self.fetch)

    def fetch(self, wanted, path, patience) -> None:
        self.asked.append(wanted)
        torch.save(self.files[wanted.address], path)


@pytest.fixture
def server(monkeypatch):
    return FakeServer(monkeypatch)


def test_torchvision_by_name(server, states, monkeypatch):
    entry = torchvision.models.ResNet18_Weights.IMAGENET1K_V1
    server.files[entry.url] = states["resnet18"]
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", None)
    monkeypatch.setattr("resnext_det.weights.cache._is_right", lambda wanted, path: path.exists())
    weights = resolve_weights("torchvision://resnet18/IMAGENET1K_V1")
    (asked,) = server.asked
    assert (asked.address, asked.sha256) == (entry.url, "f37072fd")
    theirs = states["resnet18"]["layer1.0.conv2.weight"]
    assert torch.equal(weights.state["res2.0.conv2.weight"], theirs)
    assert weights.convention == torchvision_convention()
    known = weights.side_car
    assert known.origin == "torchvision://resnet18/IMAGENET1K_V1"
    assert known.accuracy == {"top1": 69.758, "top5": 89.078}
    assert known.licence == "BSD-3-Clause"
    assert known.architecture == "resnet18"
    assert known.origin_sha256 == sha256_of(place_of(asked))


def test_every_torchvision_weight_has_an_address_with_a_digest_and_the_usual_means():
    for name in torchvision.models.list_models():
        if is_plain_resnet(name):
            for entry in torchvision.models.get_model_weights(name):
                named = resolve_name(f"torchvision://{name}/{entry.name}")
                assert named.place.address == entry.url
                assert len(named.place.sha256) == 8
                assert named.known.convention == torchvision_convention()


@pytest.mark.parametrize(
    ("spec", "nearest"),
    [
        ("torchvision://resnext50_32x4/IMAGENET1K_V1", "'resnext50_32x4d'"),
        ("torchvision://resnet50/IMAGENET1K_V3", "'IMAGENET1K_V"),
        ("torchvision://resnet50", "resnet50/IMAGENET1K_V2"),
        ("torchvision://vgg16/IMAGENET1K_V1", "no ResNet of that name"),
        ("timm://resnext101_32x4d.gluon_in1", "'resnext101_32x4d.gluon_in1k'"),
        ("timm://resnetblur50", "that network of timm's is no plain ResNet or ResNeXt"),
        ("timm://resnet50d.ra2_in1k", "that network of timm's is no plain ResNet or ResNeXt"),
        ("catalog://ImageNetPretrained/MSRA/R-5", "'catalog://ImageNetPretrained/MSRA/R-50'"),
        ("catalog://Caffe2Detectron/COCO/x", "Detectron2's catalogue has no such weights"),
    ],
)
def test_unknown_names_give_the_nearest(spec, nearest):
    message = refused(spec)
    assert message.startswith(f"MODEL.WEIGHTS {spec}: ")
    assert nearest in message


@pytest.mark.parametrize(
    ("spec", "address"),
    [
        (
            "detectron2://ImageNetPretrained/MSRA/R-50.pkl",
            "https://dl.fbaipublicfiles.com/detectron2/ImageNetPretrained/MSRA/R-50.pkl",
        ),
        (
            "catalog://ImageNetPretrained/FAIR/X-101-64x4d",
            "https://dl.fbaipublicfiles.com/detectron/ImageNetPretrained/FBResNeXt/X-101-64x4d.pkl",
        ),
    ],
)
def test_detectron2s_names_lead_where_they_do_there(spec, address):
    named = resolve_name(spec)
    assert named.place.address == address
    assert named.known.origin == spec
    assert named.known.licence == "CC-BY-SA-3.0"
    assert named.known.convention.format == "BGR"


@pytest.mark.d2
def test_detectron2s_names_are_those_of_the_installed_detectron2():
    from detectron2.checkpoint.catalog import ModelCatalog

    assert remote._CATALOG.keys() == ModelCatalog.C2_IMAGENET_MODELS.keys()
    for name in remote._CATALOG:
        theirs = ModelCatalog.get(f"ImageNetPretrained/{name}")
        assert resolve_name(f"catalog://ImageNetPretrained/{name}").place.address == theirs


def test_conventions_of_one_naming_differ_by_file():
    resnet = resolve_name("detectron2://ImageNetPretrained/MSRA/R-50.pkl").known.convention
    resnext = resolve_name("detectron2://ImageNetPretrained/FAIR/X-101-32x8d.pkl").known.convention
    assert (resnet.std, resnet.stride_in_1x1) == ((1.0, 1.0, 1.0), True)
    assert (resnext.std, resnext.stride_in_1x1) == ((57.375, 57.12, 58.395), False)


def test_an_address_tells_what_the_catalogue_knows(server, states):
    name = "resnet18_8xb32_in1k_20210831-fbbb1da6.pth"
    address = f"https://download.openmmlab.com/mmclassification/v0/resnet/{name}"
    named = resolve_name(address)
    assert named.place.sha256 == "fbbb1da6"
    assert named.known.accuracy == {"top1": 69.9, "top5": 89.43}
    assert named.known.architecture == "resnet18"


def test_an_address_is_read_by_our_readers_and_fetched_once(tmp_path, states):
    (tmp_path / "w").mkdir()
    torch.save(states["resnet18"], tmp_path / "w" / "w.pth")
    with serving(tmp_path / "w") as server:
        spec = f"{server.address}/w.pth"
        assert find_cached(spec) is None
        for _ in range(2):
            weights = resolve_weights(spec)
        assert server.times("w.pth") == 1
    assert "res2.0.conv2.weight" in weights.state
    assert weights.side_car.origin == spec
    assert find_cached(spec).sha256 == sha256_of(tmp_path / "w" / "w.pth")


@pytest.mark.parametrize(
    "spec",
    [
        "torchvision://resnet18/IMAGENET1K_V1",
        "detectron2://ImageNetPretrained/MSRA/R-50.pkl",
        "catalog://ImageNetPretrained/MSRA/R-50",
        "https://host/w.pth",
    ],
)
def test_offline_each_name_says_where_its_file_belongs(monkeypatch, spec):
    monkeypatch.setenv("RESNEXT_DET_OFFLINE", "1")
    place = place_of(resolve_name(spec).place)
    message = refused(spec)
    assert message.startswith(f"MODEL.WEIGHTS {spec}: ")
    assert "not in the cache, and --offline or RESNEXT_DET_OFFLINE says to fetch" in message
    assert message.endswith(f"put the file at {place}, or set MODEL.WEIGHTS to where it is")


def test_no_network_names_the_address(monkeypatch):
    def fail(wanted, path, patience):
        raise UserError(f"{wanted}: cannot be fetched (no route to host)")

    monkeypatch.setattr("resnext_det.weights.cache.fetch_file", fail)
    assert refused("torchvision://resnet50/IMAGENET1K_V1").startswith(
        "MODEL.WEIGHTS torchvision://resnet50/IMAGENET1K_V1: "
        "https://download.pytorch.org/models/resnet50-0676ba61.pth: cannot be fetched (no route to "
        "host); put the file at "
    )


def test_a_password_is_in_no_message_and_no_side_car(server, states):
    address = "https://me:secret@host/w.pth?token=secret"
    server.files[address] = states["resnet18"]
    weights = resolve_weights(address)
    assert weights.source == weights.side_car.origin == "https://host/w.pth?…"


class FakeHub:
    """Stands in for huggingface_hub: files by their repository, in a cache laid out like its."""

    def __init__(self, folder, monkeypatch) -> None:
        self.folder, self.files, self.asked = folder, {}, []
        monkeypatch.setattr("huggingface_hub.hf_hub_download", self.download)

    def download(self, repository, file, revision=None):
        from huggingface_hub.errors import EntryNotFoundError

        self.asked.append((repository, file))
        if (repository, file) not in self.files:
            raise EntryNotFoundError(f"404: {file}")
        root = self.folder / f"models--{repository.replace('/', '--')}"
        (root / "blobs").mkdir(parents=True, exist_ok=True)
        (root / "refs").mkdir(exist_ok=True)
        (root / "refs" / "main").write_text("abc")
        new = root / "new"
        self.files[repository, file](new)
        blob = root / "blobs" / sha256_of(new)
        new.replace(blob)
        link = root / "snapshots" / "abc" / file
        link.parent.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(blob)
        return str(link)


@pytest.fixture
def hub(tmp_path, monkeypatch):
    return FakeHub(tmp_path / "hub", monkeypatch)


def timms_state(name: str):
    torch.manual_seed(2)
    return timm.create_model(name, pretrained=False).state_dict()


def test_timm_by_name_prefers_safetensors_and_reads_it_itself(hub, monkeypatch):
    state = timms_state("resnet34")
    repository = "timm/resnet34.ra4_e3600_r224_in1k"
    hub.files[repository, "model.safetensors"] = lambda path: save_file(state, path)
    monkeypatch.setattr(timm, "create_model", None)
    for _ in range(2):
        weights = resolve_weights("timm://resnet34.ra4_e3600_r224_in1k")
    assert hub.asked == [(repository, "model.safetensors")]
    assert torch.equal(weights.state["linear.weight"], state["fc.weight"])
    # These weights have a mean and a deviation of their own: see timm's pretrained_cfg.
    assert weights.convention.mean == (127.5, 127.5, 127.5)
    assert weights.convention.std == (127.5, 127.5, 127.5)
    assert weights.side_car.accuracy == {"top1": 78.972, "top5": 94.454}
    assert weights.side_car.licence == "Apache-2.0"
    assert len(weights.side_car.origin_sha256) == 64


def test_timms_older_files_are_taken_where_there_is_no_other(hub):
    repository = "timm/resnet18.a1_in1k"
    hub.files[repository, "pytorch_model.bin"] = lambda p: torch.save(timms_state("resnet18"), p)
    weights = resolve_weights("timm://resnet18.a1_in1k")
    assert [file for _, file in hub.asked] == ["model.safetensors", "pytorch_model.bin"]
    assert weights.convention == torchvision_convention()


def test_timms_default_tag_is_said(hub, caplog):
    full = f"resnet18.{get_pretrained_cfg('resnet18').tag}"
    hub.files[f"timm/{full}", "model.safetensors"] = lambda p: save_file(timms_state("resnet18"), p)
    with caplog.at_level(logging.INFO):
        fetched = fetch_weights("timm://resnet18")
    assert f"timm://resnet18 is timm://{full}" in caplog.text
    assert fetched.side_car.origin == f"timm://{full}"


def test_a_damaged_file_of_the_hubs_is_fetched_again(hub, caplog, monkeypatch):
    repository = "timm/resnet18.a1_in1k"
    hub.files[repository, "model.safetensors"] = lambda path: path.write_bytes(b"right")
    path = fetch_weights("timm://resnet18.a1_in1k").path
    path.resolve().write_bytes(b"damaged")
    assert find_cached("timm://resnet18.a1_in1k") is None
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert "the one in the cache is damaged, its SHA-256 sum is not" in refused(
        "timm://resnet18.a1_in1k"
    )
    monkeypatch.delenv("HF_HUB_OFFLINE")
    assert fetch_weights("timm://resnet18.a1_in1k").path.read_bytes() == b"right"
    assert "is damaged" in caplog.text
    assert len(hub.asked) == 2


def test_timm_offline_says_what_to_fetch(hub, monkeypatch):
    monkeypatch.setenv("RESNEXT_DET_OFFLINE", "1")
    address = "https://huggingface.co/timm/resnet18.a1_in1k/resolve/main/model.safetensors"
    assert refused("timm://resnet18.a1_in1k") == (
        f"MODEL.WEIGHTS timm://resnet18.a1_in1k: {address} cannot be fetched (it is not in the "
        "cache, and nothing is fetched offline); fetch it elsewhere and set MODEL.WEIGHTS to that "
        "file, or copy the folder that HF_HOME names from a machine that has it"
    )
    assert hub.asked == []


def test_timm_without_a_network(monkeypatch):
    def fail(*args, **kwargs):
        raise ConnectionError("unreachable\nand more")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    assert "model.safetensors cannot be fetched (unreachable); fetch" in refused("timm://resnet18")


def test_timm_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "timm.models", None)
    assert refused("timm://resnet18").endswith("timm://resnet18 needs timm: pip install timm")


def test_timms_plain_names_are_of_networks_that_ours_compute():
    """No other layer than ours has; resnetaa50's pooling, for one, has no weights to tell it by."""
    layers = {"Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d", "Linear", "Identity", "Flatten"}
    layers |= {"AdaptiveAvgPool2d", "FastAdaptiveAvgPool", "SelectAdaptivePool2d"}
    layers |= {"Bottleneck", "BasicBlock", "Sequential", "ResNet"}
    names = [name for name in timm.list_models() if is_plain_resnet(name)]
    assert {"resnet50", "resnext101_32x4d", "wide_resnet50_2"} <= set(names)
    for name in names:
        with torch.device("meta"):
            model = timm.create_model(name)
        assert {type(module).__name__ for module in model.modules()} <= layers, name
        assert model.pretrained_cfg["first_conv"] == "conv1"


def test_the_catalogue_prefers_the_name_that_was_given():
    assert find_entry("timm://resnet50.tv_in1k").origin == "timm"
    address = "https://download.pytorch.org/models/resnet50-0676ba61.pth"
    assert find_entry(address).origin == "torchvision"
    assert parse_address(address).sha256 == find_entry(address).sha256
