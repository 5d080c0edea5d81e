"""configs/README.md's tables are those that the config files' headers give."""

import re

from resnext_det.reports.page_tables import insert
from tools import config_tables
from tools.config_headers import CONFIGS, Header, read_header, runnable


def test_page_is_up_to_date():
    text = config_tables.PAGE.read_text()
    found = config_tables.tables()
    for table in found:
        assert f"<!-- {table} -->" in text
    assert insert(text, found) == text, "run: python -m tools.config_tables --write"


def test_page_links_every_file_that_can_be_run_once():
    linked = re.findall(r"\]\((\S+?\.(?:yaml|py))\)", config_tables.PAGE.read_text())
    files = [path.relative_to(CONFIGS).as_posix() for path in CONFIGS.glob("*/*.[yp]*")]
    bases = re.compile(r"/Base-|/__init__|^quick_schedules/")
    assert sorted(linked) == sorted(name for name in files if not bases.search(name))


def test_each_figure_is_somebodys():
    for folder in config_tables.tables():
        for path in runnable(folder):
            header = read_header(path)
            assert header.owner or not header.figures, path


def test_reads_a_header(tmp_path):
    path = tmp_path / "mask_rcnn_X_50_32x4d_C4_3x.yaml"
    path.write_text(
        "# Mask R-CNN C4 on ResNeXt-50 32x4d, COCO, 3x schedule; d2 engine.\n#\n"
        "# Command:  python train_net.py\n"
        "# Expected: box AP 40.1, mask AP 36.2, each\n#           +- 0.5; not run here\n"
        "# Source:   mmdetection, its own; Detectron2 has 1.0\n_BASE_: x.yaml\n"
    )
    figures = "box AP 40.1, mask AP 36.2"
    assert read_header(path) == Header(
        "Mask R-CNN C4", "ResNeXt-50 32x4d", "3x", figures, "mmdetection"
    )


def test_no_public_figure_is_a_dash():
    name = "COCO-Detection/faster_rcnn_X_50_32x4d_C4_1x.yaml"
    table = config_tables.folder_table("COCO-Detection")
    assert f"| Faster R-CNN C4 | ResNeXt-50 32x4d | [–]({name})" in table
