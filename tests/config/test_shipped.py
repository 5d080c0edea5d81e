"""Every file under configs/: loads, is sound, round-trips, and keeps the house style."""

import re
from pathlib import Path

import pytest
import torchvision
import yaml

from resnext_det.config import dump_config, find_config, load_config, task_of
from resnext_det.config.loader import read_chain
from resnext_det.data.catalog import builtin_names
from resnext_det.engines.portable.engine import PortableEngine
from resnext_det.errors import UserError
from resnext_det.modeling.variants import list_variants
from tests.config.shipped import (
    CIFAR,
    CLASSIFIERS,
    COCO,
    FILES,
    PAPER,
    ROOT,
    RUNNABLE,
    load,
    promised,
    read_name,
)

# folder -> meta architectures, test sets, (MASK_ON, KEYPOINT_ON)
TASKS = {
    "COCO-Detection": (
        {"GeneralizedRCNN", "RetinaNet", "ProposalNetwork"},
        ["coco_2017_val"],
        (False, False),
    ),
    "COCO-InstanceSegmentation": ({"GeneralizedRCNN"}, ["coco_2017_val"], (True, False)),
    "COCO-Keypoints": ({"GeneralizedRCNN"}, ["keypoints_coco_2017_val"], (False, True)),
    "COCO-PanopticSegmentation": (
        {"PanopticFPN"},
        ["coco_2017_val_panoptic_separated"],
        (True, False),
    ),
}


def classifies(name: str) -> bool:
    return name in CLASSIFIERS or name.startswith("quick_schedules/classification_")


def header(name: str) -> str:
    return (ROOT / name).read_text().split("_BASE_")[0]


def test_the_files_that_are_promised_are_there_and_no_others():
    assert sorted(promised()) == RUNNABLE


@pytest.mark.parametrize("name", FILES)
def test_loads_without_a_warning_and_reloads_equal(name, tmp_path, caplog):
    cfg = load_config(f"resnext_det://{name}").cfg
    assert not caplog.records
    (tmp_path / "config.yaml").write_text(dump_config(cfg))
    assert load_config(str(tmp_path / "config.yaml")).cfg == cfg


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_header_says_command_cost_expectation_and_source(name):
    head = header(name)
    for word in ("Command:", "Cost:", "Expected:", "Source:"):
        assert head.count(f"\n# {word}") == 1
    assert f"configs/{name}" in head
    assert "measured" in head  # here, or "not measured here"


@pytest.mark.parametrize("name", COCO + PAPER)
def test_the_header_says_whose_figure_it_is(name):
    expected, source = (
        re.search(rf"\n# {word}: *(.*?)(?=\n# [A-Z]|\n$)", header(name), re.DOTALL)
        for word in ("Expected", "Source")
    )
    assert expected
    assert source
    assert expected[1].endswith("not run here")
    if not expected[1].startswith("no public figure"):
        assert "+- 0.5" in expected[1]
        assert load(name).DATASETS.TEST[0].removesuffix("_panoptic_separated") in expected[1]
        assert re.match(
            r"Detectron2's zoo|mmdetection|Detectron \(v1\)|PointRend|the pap", source[1]
        )


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_commands_name_files_that_there_are(name):
    for path in re.findall(r"configs/(\S+\.(?:yaml|md))", header(name)):
        assert (ROOT / path).is_file() or path.startswith("Misc/")


@pytest.mark.parametrize("name", [name for name in RUNNABLE if not classifies(name)])
def test_the_first_line_names_the_engine_where_only_one_runs_it(name):
    if header(name).splitlines()[0].endswith("; d2 engine."):
        with pytest.raises(UserError, match="the portable engine does not (support|honour)"):
            PortableEngine().check_config(load(name))
    else:
        PortableEngine().check_config(load(name))


@pytest.mark.parametrize("name", FILES)
def test_style(name):
    text = (ROOT / name).read_text()
    values = [line.split("#")[0] for line in text.splitlines()]
    assert not [line for line in values if re.search(r":\s*\(", line)], "lists, not tuples"
    assert not [line for line in values if re.search(r"\b(ON|OFF|YES|NO|on|off|yes|no)\b", line)]
    assert not [line for line in values if re.search(r"[ \[]\d+e-?\d", line)], "1.0e-4, not 1e-4"
    assert len(read_chain(f"resnext_det://{name}")) <= 3  # the file and two bases


@pytest.mark.parametrize("name", RUNNABLE)
def test_bases_are_relative_so_that_detectron2_finds_them(name):
    base = yaml.safe_load((ROOT / name).read_text())["_BASE_"]
    assert not base.startswith(("/", "resnext_det://"))
    assert find_config(base, (ROOT / name).parent).is_file()


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_file_name_says_the_network(name):
    net = load(name).MODEL.RESNETS
    kind, depth, *width = read_name(name).net.split("_")
    assert int(depth) == net.DEPTH
    if name.startswith("quick_schedules/"):
        assert (net.NUM_GROUPS == 1) == (kind == "R")  # widths are tuned to equal complexity
    else:
        wanted = width[0] if width else "1x64d"
        assert wanted == f"{net.NUM_GROUPS}x{net.WIDTH_PER_GROUP}d"
    assert net.STRIDE_IN_1X1 is False


@pytest.mark.parametrize("name", RUNNABLE)
def test_the_folder_says_the_task(name):
    cfg = load(name)
    assert task_of(cfg) == ("classification" if classifies(name) else "detection")
    folder = name.split("/")[0]
    if folder in TASKS:
        architectures, tests, on = TASKS[folder]
        assert cfg.MODEL.META_ARCHITECTURE in architectures
        assert tests == cfg.DATASETS.TEST
        assert [tests[0].replace("_val", "_train")] == cfg.DATASETS.TRAIN
        assert on == (cfg.MODEL.MASK_ON, cfg.MODEL.KEYPOINT_ON)


@pytest.mark.parametrize("name", COCO + PAPER + CLASSIFIERS)
def test_the_data_sets_are_known(name):
    datasets = load(name).DATASETS
    assert {*datasets.TRAIN, *datasets.TEST} <= set(builtin_names())


@pytest.mark.parametrize("name", [name for name in RUNNABLE if name not in CIFAR])
def test_pixels_are_rgb_with_imagenets_mean_and_deviation(name):
    cfg = load(name)
    preset = torchvision.models.ResNet50_Weights.IMAGENET1K_V1.transforms()
    assert cfg.INPUT.FORMAT == "RGB"
    assert pytest.approx([255 * value for value in preset.mean]) == cfg.MODEL.PIXEL_MEAN
    assert pytest.approx([255 * value for value in preset.std]) == cfg.MODEL.PIXEL_STD


@pytest.mark.parametrize("name", COCO + PAPER)
def test_the_weights_that_coco_configs_name_exist(name):
    spec = load(name).MODEL.WEIGHTS
    variant = read_name(name).variant
    assert variant in list_variants()
    scheme, _, rest = spec.partition("://")
    if not spec:
        assert read_name(name).net == "X_152_32x4d"
        assert "MODEL.WEIGHTS path/to/" in header(name)
    elif scheme == "torchvision":
        model, _, weights = rest.partition("/")
        assert model == variant
        assert weights in torchvision.models.get_model_weights(model).__members__
    else:
        assert (scheme, rest.split(".")[0]) == ("timm", variant)
        timm = pytest.importorskip("timm", reason="needs timm (pip install timm)")
        assert rest in timm.list_pretrained(f"{variant}*")


@pytest.mark.parametrize("name", [name for name in RUNNABLE if Path(name).stem.startswith("fast_")])
def test_stored_proposals_come_from_the_run_that_the_header_gives_first(name):
    datasets = load(name).DATASETS
    for sets, files in (
        (datasets.TRAIN, datasets.PROPOSAL_FILES_TRAIN),
        (datasets.TEST, datasets.PROPOSAL_FILES_TEST),
    ):
        assert [Path(file).parent.name for file in files] == sets
        for file in files:
            run, inference, _, stem = Path(file).parts[1:]
            assert (inference, stem) == ("inference", "box_proposals.npz")
            assert run.removesuffix("_proposals") == Path(name).stem.replace("fast_rcnn", "rpn")
            rpn = name.replace("fast_rcnn", "rpn")
            assert f"OUTPUT_DIR output/{run}\n" in header(name) or (
                f"output/{run}" == load(rpn).OUTPUT_DIR
            )
