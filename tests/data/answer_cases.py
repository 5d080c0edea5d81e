"""What each oddity of an annotation file is answered with: cases, run and tabled. Engine-neutral.

`test_annotation_answers` spoils the small set of `tests.data.conftest` as each case says, loads it
and compares; `tools/annotation_answers.py` writes the same cases as the table of a document.
"""

import json

from resnext_det.data.needs import Needs
from tests.data.annotation_answers import (
    Case,
    all_of,
    as_lines,
    both,
    corner_boxes,
    first_image,
    mended,
    polygon,
    refused,
    repeated_item,
    run_lengths,
    taken,
    third,
    told,
    with_section,
    without,
)

MASKS, POLYGONS = Needs(masks=True), Needs(masks=True, polygons=True)
DROP, TRUST = ("drop_bad_boxes",), ("trust_file_names",)
NAN = float("nan")
NUMBERS = "number(s) written as text or with a point"

CASES = (
    taken(
        "ids",
        "zero-based, negative, with gaps",
        both(
            all_of("images", "id", lambda i: 5 - i),
            all_of("annotations", "image_id", lambda i: 5 - i),
            all_of("categories", "id", lambda i: i - 7),
            all_of("annotations", "category_id", lambda i: i - 7),
        ),
    ),
    taken(
        "ids",
        "of images or annotations, texts",
        both(
            all_of("images", "id", str),
            all_of("annotations", "image_id", str),
            all_of("annotations", "id", str),
        ),
    ),
    mended(
        "ids",
        "of images or annotations, whole numbers with a point",
        NUMBERS,
        both(
            all_of("images", "id", float),
            all_of("annotations", "image_id", float),
            all_of("annotations", "id", float),
        ),
    ),
    refused(
        "ids",
        "of images, partly numbers and partly texts",
        "image ids are partly numbers and partly texts",
        first_image(id="five"),
    ),
    mended(
        "ids",
        "of categories, numbers as text or with a point",
        NUMBERS,
        both(all_of("categories", "id", str), all_of("annotations", "category_id", float)),
    ),
    refused(
        "ids",
        "of categories, other texts",
        "'id' of categories[0] is 'wheel'",
        lambda content: content["categories"][0].update(id="wheel"),
    ),
    mended(
        "ids",
        "of an image, text here and number there",
        NUMBERS,
        all_of("annotations", "image_id", str),
    ),
    refused(
        "ids", "of an image, repeated", "image id 5 is used more than once", repeated_item("images")
    ),
    refused(
        "ids",
        "of an annotation, repeated",
        "annotation id 1 is used more than once",
        repeated_item("annotations"),
    ),
    refused(
        "ids",
        "of a category, repeated",
        "category id 7 is used more than once",
        repeated_item("categories"),
    ),
    mended(
        "ids",
        "of an annotation, missing",
        "annotation(s) without an id",
        without("annotations", "id"),
    ),
    refused(
        "ids",
        "of an image or category, missing",
        "'id' of images[0] is missing",
        without("images", "id"),
    ),
    refused("ids", "a truth value", "'id' of annotations[2] is True", third(id=True)),
    refused("ids", "beyond 64 bits", "is beyond 64 bits", third(id=10**30)),
    refused(
        "ids",
        "annotation of an unknown image",
        "annotation 3 has image_id 77, which is not in 'images'",
        third(image_id=77),
    ),
    refused(
        "ids",
        "annotation of an unknown category",
        "annotation 3 has category_id 77, which is not in 'categories'",
        third(category_id=77),
    ),
    mended("boxes", "numbers as text", NUMBERS, third(bbox=["1.5", "2", 39, 50])),
    refused(
        "boxes",
        "other texts, null, truth values",
        "is not four finite numbers",
        third(bbox=[True, 2, 39, 50]),
    ),
    refused(
        "boxes",
        "NaN, Infinity, numbers beyond a float",
        "is not four finite numbers",
        third(bbox=[1, NAN, 39, 50]),
    ),
    refused("boxes", "three or five numbers", "is not four finite numbers", third(bbox=[1, 2, 39])),
    refused(
        "boxes", "missing", "'bbox' of annotations[0] is missing", without("annotations", "bbox")
    ),
    refused(
        "boxes",
        "zero width or height",
        "has a width or height of zero or less;",
        third(bbox=[1, 2, 0, 50]),
    ),
    refused(
        "boxes",
        "negative width or height",
        "zero or less (corners swapped?)",
        third(bbox=[20, 2, -9, 50]),
    ),
    refused(
        "boxes",
        "wholly outside the image",
        "lies wholly outside the image",
        third(bbox=[41, 2, 5, 5]),
    ),
    told(
        "boxes",
        "the three above with `DATASETS.DROP_BAD_BOXES True`",
        "1 unusable box(es) in the file are left out",
        third(bbox=[41, 2, 5, 5]),
        options=DROP,
    ),
    taken("boxes", "overhanging by up to 1 px", third(bbox=[-0.5, 2, 41, 50])),
    refused(
        "boxes",
        "overhanging by more",
        "reaches beyond the image's edge by 3 px",
        third(bbox=[1, 2, 42, 50]),
    ),
    taken(
        "boxes",
        "the same with `DATASETS.DROP_BAD_BOXES True`: clipped",
        third(bbox=[1, 2, 42, 50]),
        options=DROP,
    ),
    refused(
        "boxes",
        "a whole file of corners x0, y0, x1, y1",
        "all 12 boxes have to be read as corners x0, y0, x1, y1",
        corner_boxes,
        options=DROP,
    ),
    mended(
        "annotations",
        "`iscrowd` or `area` as text or with a point",
        NUMBERS,
        third(iscrowd="0", area="12"),
    ),
    taken("annotations", "`iscrowd` true or false", third(iscrowd=False)),
    refused(
        "annotations", "another `iscrowd`", "iscrowd is 2; it must be 0 or 1", third(iscrowd=2)
    ),
    refused(
        "annotations",
        "an `area` that is no finite number",
        "area is nan, not a finite number",
        third(area=NAN),
    ),
    taken("annotations", "a crowd: never trained on, scored as COCO does", third(iscrowd=1)),
    refused("annotations", "marked `ignore`", "annotation 3 is marked 'ignore'", third(ignore=1)),
    taken(
        "masks", "polygons and run lengths in one file", run_lengths([60, 40], [100, 2300]), MASKS
    ),
    refused(
        "masks",
        "run lengths of objects where `INPUT.MASK_FORMAT` is polygon",
        "set INPUT.MASK_FORMAT bitmask",
        run_lengths([60, 40], [100, 2300]),
        POLYGONS,
    ),
    refused(
        "masks",
        "run lengths of another size than the image",
        "has the size [40, 60], but the image is [60, 40]",
        run_lengths([40, 60], [2400]),
        MASKS,
    ),
    refused(
        "masks",
        "run lengths that do not fill the image",
        "has runs that do not fill the 2400 pixels",
        run_lengths([60, 40], [100]),
        MASKS,
    ),
    refused(
        "masks",
        "run lengths neither numbers nor COCO's packed text",
        "has 'counts' that are neither",
        run_lengths([60, 40], "räder"),
        MASKS,
    ),
    refused(
        "masks",
        "a polygon of an odd number of values or under three points",
        "has 7 values, but one has x and y of at least three points",
        polygon([1, 2, 3, 4, 5, 6, 7]),
        MASKS,
    ),
    told(
        "masks",
        "the same with `DATASETS.DROP_BAD_BOXES True`, and where only boxes are read",
        "1 annotation(s) whose polygons all have fewer than three points",
        polygon([1, 2, 3, 4]),
    ),
    refused(
        "masks",
        "a polygon with NaN, null or text",
        "has a value that is no finite number",
        polygon([1, 2, 3, 4, 5, NAN]),
        MASKS,
    ),
    refused(
        "masks",
        "a polygon further outside than the image is long",
        "is more than 60 px outside its image",
        polygon([1, 2, 3, 4, 5, 1e6]),
        MASKS,
    ),
    refused(
        "masks",
        "an object without a mask, where masks are read",
        "has no 'segmentation', which MODEL.MASK_ON True needs",
        both(polygon([1, 2, 30, 4, 5, 30]), third(segmentation=[])),
        MASKS,
    ),
    mended("images", "a size as text", NUMBERS, first_image(height="60")),
    refused(
        "images",
        "a size that is no whole number of pixels",
        "height is 60.5, not a whole number of pixels",
        first_image(height=60.5),
    ),
    refused(
        "images",
        "another size than the file on disk",
        "the image is 40x60, but the annotation file says 40x61",
        first_image(height=61),
    ),
    refused(
        "images",
        "listed, not on disk",
        "1 of the 3 images that",
        first_image(file_name="absent.png"),
    ),
    told(
        "images",
        "on disk, not listed",
        "1 image(s) there are not in",
        lambda content: (content["images"].pop(2), None)[1],
    ),
    refused(
        "images",
        "two entries of one file",
        "has the file_name './a.png' that image 2 has, too",
        lambda content: content["images"][2].update(file_name="./a.png"),
    ),
    taken(
        "images",
        "without boxes: kept, left out of training by `DATALOADER.FILTER_EMPTY_ANNOTATIONS`",
        lambda content: content["annotations"].pop() and None,
    ),
    refused(
        "file names",
        "absolute",
        "leaves the image folder; set DATASETS.TRUST_FILE_NAMES True",
        first_image(file_name="/etc/passwd"),
    ),
    refused(
        "file names",
        "with `..` in them",
        "leaves the image folder",
        first_image(file_name="sub/../b.png"),
    ),
    refused(
        "file names",
        r"with a drive letter, or `..\`",
        "leaves the image folder",
        first_image(file_name="..\\b.png"),
    ),
    told(
        "file names",
        "the three above with `DATASETS.TRUST_FILE_NAMES True`",
        "1 of 3 file names leave",
        first_image(file_name="../images/b.png"),
        options=TRUST,
    ),
    mended(
        "file names",
        "with backslashes between folders, where one with slashes is there",
        "file name(s) with backslashes",
        first_image(file_name=".\\b.png"),
    ),
    refused(
        "file names",
        "empty, `..`, with a NUL, too long",
        "has a NUL in it",
        first_image(file_name="b.png\0.jpg"),
    ),
    refused("categories", "none", "'categories' is empty", with_section("categories", [])),
    told(
        "categories",
        "two of one name: two classes",
        "1 class name(s) stand for several categories",
        all_of("categories", "name", lambda _: "door"),
    ),
    refused(
        "categories",
        "a name that is not one line of text",
        "is not one line of text",
        all_of("categories", "name", lambda n: n + "\n"),
    ),
    refused(
        "the file",
        "no annotations, in training",
        "so there is nothing to train on",
        with_section("annotations", []),
    ),
    refused(
        "the file",
        "a list at the top",
        "the top level is a list",
        lambda content: json.dumps([content]),
    ),
    refused(
        "the file",
        "cut in the middle",
        "not JSON, or cut off",
        lambda content: json.dumps(content)[:300],
    ),
    refused(
        "the file",
        "one value on each line (NDJSON)",
        "a second value begins at line 2 column 1",
        as_lines,
    ),
    refused(
        "the file",
        "a key twice in one object",
        "the key 'images' is written twice in one object",
        lambda content: f'{{"images": [], {json.dumps(content)[1:]}',
    ),
    refused(
        "the file",
        "nested a thousand levels deep or more",
        "nested too deep",
        lambda _: "[" * 100_000,
    ),
    refused(
        "the file",
        "a number of thousands of digits",
        "not a JSON text file",
        lambda _: f'{{"images": {"9" * 5000}}}',
    ),
)

_FIXES = {
    "another `iscrowd`": "left",
    "another size than the file on disk": "left",
    "no annotations, in training": "left",
    "`iscrowd` true or false": "mended",
    "the three above with `DATASETS.DROP_BAD_BOXES True`": "mended",
    "the same with `DATASETS.DROP_BAD_BOXES True`: clipped": "mended",
    "the same with `DATASETS.DROP_BAD_BOXES True`, and where only boxes are read": "mended",
}
"""What becomes of a case in a mended copy, where it is not what `fix_of` takes it for."""


def fix_of(case: Case) -> str:
    """Returns what `resnext-det dataset check --fix` does of a case: mended, left or no copy."""
    if case.what in _FIXES:
        return _FIXES[case.what]
    if case.answer in ("taken", "told"):
        return ""
    if case.group == "the file" or (case.group, case.what) == ("categories", "none"):
        return "no copy"
    return "left" if case.group == "masks" else "mended"
