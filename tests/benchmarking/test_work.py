"""What is timed: sizes, drawn weights, training sets and steps."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest
import torch

from resnext_det.acceleration.apply import accelerate
from resnext_det.acceleration.recorded import RecordedDetector
from resnext_det.acceleration.setting import acceleration_of_words
from resnext_det.benchmarking.agreement import agreement, maps_difference
from resnext_det.benchmarking.contestants import (
    OurBackbone,
    Ours,
    Request,
    TimmBackbone,
    TorchvisionDetector,
    Training,
    as_detections,
    backbone_of,
)
from resnext_det.benchmarking.judging import judge
from resnext_det.benchmarking.sizes import Size, parse_size
from resnext_det.benchmarking.training_set import BOXES, write_training_set
from resnext_det.benchmarking.work import work_of_config
from resnext_det.config import with_values
from resnext_det.engines.base import DetectionRun, resolve_engine
from resnext_det.errors import UserError
from tests.benchmarking.conftest import TINY, drawn_images

PORTABLE = resolve_engine("portable")


def test_size_is_rows_by_columns():
    assert parse_size(" 800x1216 ") == Size(800, 1216)
    assert str(Size(64, 96)) == "64x96"


@pytest.mark.parametrize("text", ["800", "x", "8x8", "0x64", "-64x64", "99999x99999", "64x64x3"])
def test_a_size_that_cannot_be_is_named(text):
    with pytest.raises(UserError, match=f"--image {text!r}: give rows and columns"):
        parse_size(text)


def test_drawn_weights_find_boxes_that_rounding_leaves_in_place(work):
    model = work.build_model(PORTABLE)
    images = work.batch(2)
    found = work.predictor(PORTABLE, model)(images)
    assert all(len(one) > 10 for one in found)
    assert all(one.scores.max() > 0.2 for one in found)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1 + 1e-5 * torch.randn_like(parameter))
    again = agreement(found, work.predictor(PORTABLE, model)(images))
    assert again.share > 0.99


def test_drawn_weights_are_the_same_every_time_and_leave_the_generator_alone(work):
    state = torch.random.get_rng_state()
    again = work_of_config(
        "resnext_det://Base-RCNN-FPN.yaml",
        PORTABLE,
        device="cpu",
        images=drawn_images(2),
        size=Size(64, 96),
        keys=TINY,
    )
    assert torch.equal(torch.random.get_rng_state(), state)
    assert again.weights.keys() == work.weights.keys()
    assert all(np.array_equal(again.weights[k], v) for k, v in work.weights.items())


def test_images_are_taken_as_they_are(work):
    (one, two), (first, *_) = work.samples(PORTABLE, 2), work.samples(PORTABLE, 5)
    assert torch.equal(one.image, torch.from_numpy(work.images[0]).permute(2, 0, 1))
    assert torch.equal(one.image, first.image)
    assert two.image.shape == (3, 64, 96)
    assert len(work.batch(5)) == 5


def test_work_can_be_sent_to_a_process(work):
    sent = pickle.loads(pickle.dumps(work))
    assert sent.cfg == work.cfg
    assert sent.weights.keys() == work.weights.keys()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnext_det://quick_schedules/classification_R_26.yaml", "a classifier's config"),
        ("resnext_det://COCO-Detection/fcos_R_50_FPN_1x.py", "a config in Python syntax"),
        ("resnext_det://COCO-Detection/retinanet_R_50_FPN_1x.yaml", "RetinaNet"),
    ],
    ids=["classifier", "python", "other detector"],
)
def test_a_config_that_cannot_be_timed_is_named(name, said):
    with pytest.raises(UserError, match=said):
        work_of_config(name, PORTABLE, device="cpu", images=drawn_images(1), size=Size(64, 96))


def test_training_set_is_a_coco_set(tmp_path):
    dataset = write_training_set(tmp_path, drawn_images(3), 5)
    content = json.loads((tmp_path / "annotations.json").read_text())
    assert len(content["annotations"]) == 3 * BOXES
    assert len(dataset.records) == 3
    assert dataset.class_names == tuple(f"class {k}" for k in range(1, 6))
    for annotation in content["annotations"]:
        x, y, w, h = annotation["bbox"]
        assert 0 <= x < x + w <= 96
        assert 0 <= y < y + h <= 64


def test_a_training_step_gives_the_engines_losses(work, tmp_path):
    contestant = Training(work, "portable", tmp_path / "ours")
    act = contestant()
    first = act(Request(2, "losses"))
    cfg = contestant._config(2)
    dataset = write_training_set(tmp_path, work.batch(2), 5)
    batch = next(PORTABLE.train_batches(DetectionRun(cfg, dataset, {}, None), 0))
    model = work.build_model(PORTABLE, cfg, work.initial).train()
    expected = PORTABLE.build_losses(None)(model, batch)
    assert first == {name: pytest.approx(loss.item()) for name, loss in expected.items()}
    assert act(Request(2)) is None
    later = act(Request(2, "losses"))
    assert later != first  # it was updated
    assert sum(later.values()) == pytest.approx(sum(first.values()), rel=0.01)  # but hardly


def test_ours_answers_what_it_is_asked_for(work):
    act = Ours(work, "portable")()
    assert act(Request(1)) is None
    expected = work.predictor(PORTABLE, work.build_model(PORTABLE))(work.batch(2))
    assert len(act(Request(1, "boxes"))) == len(work.images) == 2  # one after the other
    found = as_detections(act(Request(2, "boxes")))
    assert all(torch.equal(a.boxes, b.boxes) for a, b in zip(expected, found, strict=True))
    maps = act(Request(2, "maps"))
    assert [m.shape for m in maps] == [(2, 16, 64 // s, -(-96 // s)) for s in (4, 8, 16, 32, 64)]
    assert maps_difference(maps, maps) == 0


@pytest.mark.gpu
@pytest.mark.parametrize("words", ["float32 cuda_graphs", "bfloat16 fold_norms channels_last"])
def test_a_gpu_answers_what_it_is_asked_for(words, work):
    on_gpu = replace(work, cfg=with_values(work.cfg, {"MODEL.DEVICE": "cuda"}))
    exact, act = (
        Ours(on_gpu, "portable")(),
        Ours(on_gpu, "portable", acceleration_of_words(words))(),
    )
    for wish in ("boxes", "maps"):
        expected, found = exact(Request(2, wish)), act(Request(2, wish))
        assert judge(wish, expected, found).near_enough


@pytest.mark.d2
def test_detectron2_finds_the_same(work):
    from resnext_det.benchmarking.contestants import Detectron2

    ours = as_detections(Ours(work, "portable")()(Request(2, "boxes")))
    theirs = as_detections(Detectron2(work)()(Request(2, "boxes")))
    found = agreement(theirs, ours)
    assert found.matched == found.boxes > 20
    assert found.pixels[1] < 1e-3


@pytest.mark.long
@pytest.mark.parametrize("build", [TorchvisionDetector, TimmBackbone, OurBackbone])
def test_peers_run_on_the_same_network(build):
    images, size = drawn_images(1), Size(64, 96)
    name = "resnext_det://COCO-Detection/faster_rcnn_R_50_FPN_1x.yaml"
    work = work_of_config(name, PORTABLE, device="cpu", images=images, size=size)
    contestant = build(work, "portable") if build is OurBackbone else build(work)
    assert contestant()(Request(2)) is None


@pytest.mark.parametrize(
    ("build", "library"), [(TorchvisionDetector, "torchvision"), (TimmBackbone, "timm")]
)
def test_a_network_that_others_do_not_have_is_told(build, library, work):
    with pytest.raises(UserError, match=f"^{library} (has no such network|is not installed)$"):
        build(work)()


def test_the_backbone_is_found_wherever_acceleration_puts_it(work):
    model = work.build_model(PORTABLE)
    image = torch.zeros(1, 3, 64, 96)
    with torch.no_grad():
        expected = model.backbone(image)
        for form in (
            model,
            RecordedDetector(model),
            accelerate(model, acceleration_of_words("channels_last fold_norms")),
        ):
            found = backbone_of(form)(image)
            for name, values in expected.items():
                torch.testing.assert_close(found[name], values, rtol=1e-3, atol=1e-4)
