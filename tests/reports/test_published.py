"""Published figures, against a second transcription of their sources."""

import pytest

from resnext_det.errors import UserError
from resnext_det.reports.published import published_tables

# Each line as its source prints it: the row's name, then the columns. "-": the source has none.
PRINTED = {
    "model_table": """
        ResNeXt-50 32x4d   25.03 4.27 77.90 93.66
        ResNeXt-101 32x4d  44.18 8.03 78.61 94.17
        ResNeXt-101 32x8d  88.79 16.50 79.27 94.58
        ResNeXt-152 32x4d  59.95 11.80 78.88 94.33""",
    "table2": """
        1x64d  1 64 64
        2x40d  2 40 80
        4x24d  4 24 96
        8x14d  8 14 112
        32x4d  32 4 128""",
    "table3": """
        ResNet-50          23.9
        ResNeXt-50 2x40d   23.0
        ResNeXt-50 4x24d   22.6
        ResNeXt-50 8x14d   22.3
        ResNeXt-50 32x4d   22.2
        ResNet-101         22.0
        ResNeXt-101 2x40d  21.7
        ResNeXt-101 4x24d  21.4
        ResNeXt-101 8x14d  21.3
        ResNeXt-101 32x4d  21.2""",
    "table4": """
        ResNet-101         22.0 6.0
        ResNeXt-101 32x4d  21.2 5.6
        ResNet-200         21.7 5.8
        ResNet-101 1x100d  21.3 5.7
        ResNeXt-101 2x64d  20.7 5.5
        ResNeXt-101 64x4d  20.4 5.3""",
    "no_shortcuts": """
        ResNet-50         23.9 31.2
        ResNeXt-50 32x4d  22.2 26.1""",
    "table5": """
        ResNet-101         22.0 6.0 - -
        ResNet-200         21.7 5.8 20.1 4.8
        ResNeXt-101 64x4d  20.4 5.3 19.1 4.4""",
    "table6": """
        ResNet-50          45.5 19.4 27.1 8.2
        ResNeXt-50 32x4d   42.3 16.8 24.4 6.6
        ResNet-101         42.4 16.9 24.2 6.8
        ResNeXt-101 32x4d  40.1 15.1 22.2 5.7""",
    "table7": """
        Wide ResNet        36.5 4.17 20.50
        ResNeXt-29 8x64d   34.4 3.65 17.77
        ResNeXt-29 16x64d  68.1 3.58 17.31""",
    "table8": """
        ResNet-50          47.6 26.5
        ResNeXt-50 32x4d   49.7 27.5
        ResNet-101         51.1 29.8
        ResNeXt-101 32x4d  51.9 30.0""",
    "detectron2": """
        ResNet-50          Faster_R-CNN_C4  1x 35.7 -    0.551 0.102 4.8
        ResNet-50          Faster_R-CNN_DC5 1x 37.3 -    - - -
        ResNet-50          Faster_R-CNN_FPN 1x 37.9 -    0.210 0.038 3.0
        ResNet-50          Faster_R-CNN_FPN 3x 40.2 -    - - -
        ResNet-101         Faster_R-CNN_FPN 3x 42.0 -    0.286 0.051 4.1
        ResNeXt-101 32x8d  Faster_R-CNN_FPN 3x 43.0 -    0.638 0.098 6.7
        ResNet-50          RetinaNet        1x 37.4 -    - - -
        ResNet-101         RetinaNet        3x 40.4 -    - - -
        ResNet-50          Mask_R-CNN_FPN   1x 38.6 35.2 - - -
        ResNet-101         Mask_R-CNN_FPN   3x 42.9 38.6 - - -
        ResNeXt-101 32x8d  Mask_R-CNN_FPN   3x 44.3 39.5 - - -""",
    "mmdetection": """
        ResNet-50          37.4 38.4 40.3 39.7
        ResNeXt-50 32x4d   -    -    -    40.7
        ResNet-101         39.4 39.8 41.8 41.7
        ResNeXt-101 32x4d  41.2 41.2 42.5 42.1
        ResNeXt-101 64x4d  42.1 41.6 43.1 -""",
    "detectron": """
        ResNet-50          36.7
        ResNet-101         39.4
        ResNeXt-101 64x4d  41.5
        ResNeXt-101 32x8d  41.3""",
    "torchvision": """
        ResNet-50          76.130 80.858
        ResNeXt-50 32x4d   77.618 81.198
        ResNet-101         77.374 81.886
        ResNeXt-101 32x8d  79.312 82.834
        ResNeXt-101 64x4d  -      83.246""",
    "pycls": """
        ResNet-50          23.2
        ResNeXt-50 32x4d   21.9
        ResNet-101         21.4
        ResNeXt-101 32x4d  20.7
        ResNet-152         20.9
        ResNeXt-152 32x4d  20.4""",
    "authors_weights": """
        ResNeXt-50 32x4d   22.2
        ResNeXt-101 32x4d  21.2
        ResNeXt-101 64x4d  20.4""",
}


@pytest.mark.parametrize("name", PRINTED)
def test_a_table_is_what_its_source_prints(name: str) -> None:
    (table,) = published_tables([name])
    lines = []
    for row in table.rows:
        cells = [table.cell(row, column).replace("–", "-") for column in table.columns]
        lines.append([*row["model"].split(), *(cell.replace(" ", "_") for cell in cells)])
    assert lines == [line.split() for line in PRINTED[name].strip().splitlines()]


def test_every_table_has_a_second_transcription_and_a_source() -> None:
    with pytest.raises(UserError) as caught:
        published_tables(["table9"])
    message = str(caught.value)
    assert message.startswith("published: no table is named 'table9'; there are ")
    assert set(message.rsplit(" are ", 1)[1].split(", ")) == set(PRINTED)
    for table in published_tables(list(PRINTED)):
        assert table.title
        assert table.source
        keys = {column.key for column in table.columns}
        assert set(table.beside) <= keys
        assert all(set(row) <= keys | {"model"} for row in table.rows)


def test_each_table_comes_once_and_unknown_models_have_no_row() -> None:
    (table,) = published_tables(["table8", "table8"])
    assert "1611.05431" in table.source
    assert table.find("ResNet-18") is None
    assert published_tables([]) == []


def test_the_papers_gains() -> None:
    """Gains of ResNeXt over ResNet that the paper states: 2.1 and 1.0 at 50, 0.8 and 0.2 at 101."""
    (table,) = published_tables(["table8"])
    for depth, gain50, gain in ((50, 2.1, 1.0), (101, 0.8, 0.2)):
        resnet, resnext = table.find(f"ResNet-{depth}"), table.find(f"ResNeXt-{depth} 32x4d")
        assert resnet
        assert resnext
        assert round(resnext["AP50"] - resnet["AP50"], 1) == gain50
        assert round(resnext["AP"] - resnet["AP"], 1) == gain


def test_table_2s_block_parameters() -> None:
    """Equation 4: C (256 d + 9 d² + 256 d) is the plain block's 70 k to within 3 %."""
    (table,) = published_tables(["table2"])
    for row in table.rows:
        c, d = row["cardinality"], row["width"]
        assert c * (256 * d + 9 * d * d + 256 * d) == pytest.approx(69_632, rel=0.03)
        assert row["group_conv"] == c * d
