"""Names of data sets and the NAME=… arguments. Engine-neutral."""

from pathlib import Path

import pytest

from resnext_det.data.catalog import (
    DatasetEntry,
    datasets_root,
    entries_by_name,
    find_dataset,
    parse_data_argument,
)
from resnext_det.errors import UserError


def test_detection_argument() -> None:
    entry = parse_data_argument("cells=/d/train.json:/d/images")
    assert entry == DatasetEntry("cells", Path("/d/train.json"), Path("/d/images"))


def test_classification_argument() -> None:
    assert parse_data_argument("pets=/d/train/") == DatasetEntry("pets", None, Path("/d/train"))


@pytest.mark.parametrize("index", ["index.json", "./index.json", "/d/shards/index.json"])
def test_the_index_of_shards_stands_for_their_folder(index: str) -> None:
    entry = parse_data_argument(f"in1k={index}")
    assert entry == DatasetEntry("in1k", None, Path(index).parent)


@pytest.mark.parametrize("text", ["cells", "=a.json:b", "cells=", "cells=a.json", "cells=a.json:"])
def test_incomplete_argument_is_named(text: str) -> None:
    with pytest.raises(UserError, match="=annotations") as error:
        parse_data_argument(text)
    assert f"'{text}'" in str(error.value)
    assert "\n" not in str(error.value)


def test_root_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DETECTRON2_DATASETS", raising=False)
    assert datasets_root() == Path("datasets")
    monkeypatch.setenv("DETECTRON2_DATASETS", "/elsewhere")
    assert find_dataset("imagenet_1k_val", {}).image_root == Path("/elsewhere/imagenet/val")


def test_named_sets_go_first() -> None:
    own = DatasetEntry("coco_2017_val", Path("v.json"), Path("v"))
    assert find_dataset("coco_2017_val", {"coco_2017_val": own}) is own


def test_unknown_name_says_how_to_name_either_kind() -> None:
    with pytest.raises(UserError) as error:
        find_dataset("pets", {}, Path("d"))
    assert str(error.value) == (
        "data set 'pets' is not known; name your own with --train-data or --test-data "
        "pets=annotations.json:images/ (detection) or pets=folder/ (classification)"
    )


def test_unknown_name_suggests_the_nearest() -> None:
    with pytest.raises(UserError, match=r"'coco_2017_trian' is not known .*'coco_2017_train'"):
        find_dataset("coco_2017_trian", {}, Path("d"))
    with pytest.raises(UserError) as error:  # of the quick schedules, without its data
        find_dataset("quickstart_train", {}, Path("d"))
    assert str(error.value).startswith("data set 'quickstart_train' is not known; name your own ")


@pytest.mark.parametrize(
    "name", ["../x", "/abs", "a/b", "a\\b", ".", "..", "a\0b", "a\nb", "a\ud800"]
)
def test_names_that_are_no_folders_are_refused(name: str) -> None:
    with pytest.raises(UserError, match="it names a folder of OUTPUT_DIR, so it has") as error:
        parse_data_argument(f"{name}=a.json:b")
    assert str(error.value).startswith(f"data set name {name!r}: ")


def test_long_names_are_refused() -> None:
    assert parse_data_argument(f"{'é' * 50}=a.json:b").name == "é" * 50
    with pytest.raises(UserError, match=r"^data set name 'x{37}\.\.\.': it is longer than 100 byt"):
        parse_data_argument(f"{'x' * 101}=a.json:b")


def test_a_name_stands_for_one_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")
    same = [parse_data_argument(f"mine={text}") for text in ("a.json:b", "/a.json:c/../b/")]
    assert entries_by_name(same) == {"mine": same[0]}
    other = parse_data_argument("mine=a.json:c")
    with pytest.raises(UserError) as error:
        entries_by_name([*same, other])
    assert str(error.value) == (
        "data set 'mine' is named twice with different files: /b and /c: give one another name"
    )


def test_a_name_stands_for_a_panoptic_set_or_another() -> None:
    texts = ("mine=/a.json:/b", "mine=/a.json:/b:/p.json:/q:/r")
    with pytest.raises(UserError, match=r"different files: none and /p\.json: give one another"):
        entries_by_name(map(parse_data_argument, texts))


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.5:8000/in1k/index.json",
        "https://server/index.json",
        "http://[::1]:8000/index.json",
        "http://server:8000/train-{000000..000146}.tar",
    ],
)
def test_address_keeps_its_colons(address: str) -> None:
    entry = parse_data_argument(f"in1k={address}")
    assert (entry.name, entry.json_file, entry.address) == ("in1k", None, address)
    assert entry.location == address
    assert parse_data_argument("a=/d/train/").location == "/d/train"


@pytest.mark.parametrize(
    ("address", "fault"),
    [
        ("http:///index.json", "not an address with a server"),
        ("http://server:0/index.json", "not an address with a server"),
        ("http://server:80x/index.json", "not an address (Port"),
        ("http://[::1/index.json", "not an address (Invalid"),
        ("http://a server/index.json", "not an address with a server"),
        ("http://me:secret@server/index.json", "no user name"),
        ("http://server/index.json?token=1", "no user name"),
        ("http://server/in1k/", "index.json"),
    ],
)
def test_odd_address_is_named(address: str, fault: str) -> None:
    with pytest.raises(UserError) as error:
        parse_data_argument(f"in1k={address}")
    assert fault in str(error.value)
    assert "in1k=" in str(error.value)
    assert "secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_two_addresses_are_two_sets() -> None:
    first, second = (parse_data_argument(f"a=http://server/{folder}/index.json") for folder in "xy")
    assert entries_by_name([first, first]) == {"a": first}
    with pytest.raises(UserError, match="named twice"):
        entries_by_name([first, second])
