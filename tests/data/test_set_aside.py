"""The list of broken images: by name, once, over processes and resumes. Engine-neutral."""

import logging
from typing import Any

import pytest

from resnext_det.data.set_aside import BrokenImage, SetAsideImages
from resnext_det.errors import UserError


def images(*numbers: int) -> list[BrokenImage]:
    return [BrokenImage(f"{number:03}.jpg", "cut off") for number in numbers]


def test_an_image_counts_once() -> None:
    aside = SetAsideImages(1000)
    assert aside.summary() == {"count": 0, "images": []}
    aside.add(images(2, 1))
    aside.add(images(1))
    first = {"name": "001.jpg", "reason": "cut off"}
    assert aside.summary() == {"count": 2, "images": [first, {**first, "name": "002.jpg"}]}


def test_the_result_names_a_hundred() -> None:
    aside = SetAsideImages(1000)
    aside.add(images(*reversed(range(150))))
    summary = aside.summary()
    assert (summary["count"], len(summary["images"])) == (150, 100)
    assert summary["images"][99]["name"] == "099.jpg"


def test_the_log_names_each_once_and_a_hundred_in_all(caplog: pytest.LogCaptureFixture) -> None:
    aside = SetAsideImages(1000)
    with caplog.at_level(logging.WARNING):
        aside.log_new()
        assert not caplog.records
        aside.add(images(1))
        aside.log_new()
        aside.log_new()
        assert caplog.messages == [
            "Set aside: 001.jpg: cut off",
            "1 broken image(s) set aside so far",
        ]
        caplog.clear()
        aside.add(images(*range(200)))
        aside.log_new()
    assert len(caplog.messages) == 99 + 1
    assert caplog.messages[-1] == "200 broken image(s) set aside so far"


def test_a_checkpoint_keeps_what_every_process_met(caplog: pytest.LogCaptureFixture) -> None:
    others = {"009.jpg": "empty"}
    aside = SetAsideImages(1000, lambda mine: [mine, others])
    aside.add(images(1))
    state = aside.state_dict()
    assert state == {"reasons": {"001.jpg": "cut off", "009.jpg": "empty"}}
    resumed = SetAsideImages(1000)
    resumed.add(images(5))
    resumed.load_state_dict(state)
    assert len(resumed) == 3
    with caplog.at_level(logging.WARNING):
        resumed.log_new()
    assert caplog.messages[0] == "Set aside: 005.jpg: cut off"
    assert len(caplog.messages) == 2


def test_one_more_than_the_limit_ends_the_run() -> None:
    aside = SetAsideImages(2)
    aside.add(images(3, 2))
    aside.add(images(3))
    message = (
        "001.jpg: cannot be read as an image (cut off), the first of 3 such images; "
        "DATASETS.MAX_BROKEN_IMAGES is 2: mend or remove them, or set it higher"
    )
    with pytest.raises(UserError) as error:
        aside.add(images(1))
    assert str(error.value) == message
    with pytest.raises(UserError, match=r"^001\.jpg: .*; DATASETS\.MAX_BROKEN_IMAGES above 0 sets"):
        SetAsideImages(0).add(images(1))


def test_the_limit_is_of_all_processes_and_of_a_resumed_run() -> None:
    aside = SetAsideImages(1, lambda mine: [mine, {"009.jpg": "empty"}])
    aside.add(images(1))
    with pytest.raises(UserError, match=r"^001\.jpg: .*the first of 2 such images"):
        aside.share()
    with pytest.raises(UserError, match=r"^000\.jpg: .*the first of 2 such images"):
        SetAsideImages(1).load_state_dict({"reasons": {"000.jpg": "a", "001.jpg": "b"}})


def test_what_is_shared_is_no_news_and_logged_by_one_process(
    caplog: pytest.LogCaptureFixture,
) -> None:
    for logs in (True, False):
        aside = SetAsideImages(9, logs=logs)
        assert not aside.has_news
        aside.add(images(1))
        assert aside.has_news
        assert not caplog.messages
        aside.share()
        aside.add(images(1))
        assert not aside.has_news
        assert len(caplog.messages) == (2 if logs else 0)
        caplog.clear()


def test_a_set_without_a_readable_image_is_refused() -> None:
    aside = SetAsideImages(9)
    aside.add(images(1, 2))
    aside.check_set("val", [])
    aside.check_set("val", ["001.jpg", "003.jpg"])
    with pytest.raises(UserError, match=r"^data set 'val': none .* first is 002\.jpg \(cut off"):
        aside.check_set("val", ["002.jpg", "001.jpg"])


def test_the_log_names_an_image_in_one_line(caplog: pytest.LogCaptureFixture) -> None:
    aside = SetAsideImages(1000)
    aside.add([BrokenImage("cat/new\nline\udcff.jpg", "cut off")])
    aside.log_new()
    assert "Set aside: cat/new\\nline\\udcff.jpg: cut off" in caplog.messages


@pytest.mark.parametrize(
    "state",
    [5, {}, {"reasons": 3}, {"reasons": {"a.jpg": 1}}],
    ids=["int", "empty", "kind", "item"],
)
def test_a_damaged_list_of_a_checkpoint_is_refused(state: Any) -> None:
    with pytest.raises(UserError, match=r"^the checkpoint's list of broken images, its entry set_"):
        SetAsideImages(1000).load_state_dict(state)
