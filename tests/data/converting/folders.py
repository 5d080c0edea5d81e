"""Small folders of labelled pictures, in each format."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

WIDTH, HEIGHT = 40, 30


def picture(path: Path, shade: int = 100, *, orientation: int = 1) -> Path:
    """A gray JPEG or PNG of 40x30, as it is stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.new("RGB", (WIDTH, HEIGHT), (shade, shade, shade))
    exif = image.getexif()
    exif[0x0112] = orientation
    image.save(path, exif=exif)
    return path


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def voc_object(name: str, *box: float, difficult: int = 0) -> str:
    corners = zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True)
    inner = "".join(f"<{key}>{value}</{key}>" for key, value in corners)
    return (
        f"<object><name>{name}</name><difficult>{difficult}</difficult>"
        f"<bndbox>{inner}</bndbox></object>"
    )


def voc_xml(*objects: str, size: tuple[int, int] | None = (WIDTH, HEIGHT), name: str = "") -> str:
    stated = f"<size><width>{size[0]}</width><height>{size[1]}</height></size>" if size else ""
    called = f"<filename>{name}</filename>" if name else ""
    return f"<annotation>{called}{stated}{''.join(objects)}</annotation>"


def voc_folder(root: Path, *objects: str, **more: Any) -> Path:
    """One picture, a.jpg, and its labels."""
    picture(root / "JPEGImages/a.jpg")
    write(root / "Annotations/a.xml", voc_xml(*objects, **more))
    return root


def yolo_folder(root: Path, *lines: str, names: str = "names: [cat, dog]\n") -> Path:
    picture(root / "images/a.jpg")
    write(root / "labels/a.txt", "".join(f"{line}\n" for line in lines))
    if names:
        write(root / "data.yaml", names)
    return root


def shape(label: str, *points: Sequence[float], kind: str = "rectangle", **more: Any) -> dict:
    return {"label": label, "points": [list(p) for p in points], "shape_type": kind, **more}


def labelme_json(
    *shapes: Any, called: str = "a.jpg", size: tuple[int, int] | None = (WIDTH, HEIGHT)
) -> str:
    content = {"version": "5.5.0", "flags": {}, "shapes": list(shapes), "imagePath": called}
    if size:
        content |= {"imageWidth": size[0], "imageHeight": size[1]}
    return json.dumps(content)


def labelme_folder(root: Path, *shapes: Any, **more: Any) -> Path:
    picture(root / "a.jpg")
    write(root / "a.json", labelme_json(*shapes, **more))
    return root


def coco_content(
    boxes: Mapping[str, Sequence[Sequence[float]]], classes: Sequence[str] = ("cat", "dog")
) -> dict[str, Any]:
    """COCO's lists; the n-th box of an image is of the n-th class, and so on round."""
    images, annotations = [], []
    for image_id, (name, of_image) in enumerate(boxes.items(), start=11):
        images.append({"id": image_id, "file_name": name, "width": WIDTH, "height": HEIGHT})
        for place, box in enumerate(of_image):
            ids = {"id": 100 + len(annotations), "image_id": image_id}
            ids["category_id"] = place % len(classes) + 1
            annotations.append({**ids, "bbox": list(box), "area": box[2] * box[3], "iscrowd": 0})
    categories = [{"id": n, "name": name} for n, name in enumerate(classes, start=1)]
    return {"images": images, "annotations": annotations, "categories": categories}


def boxes_of(content: Mapping[str, Any]) -> list[tuple[str, str, list[float]]]:
    """(image, class, box) of each object, sorted."""
    names = {image["id"]: image["file_name"] for image in content["images"]}
    classes = {category["id"]: category["name"] for category in content["categories"]}
    return sorted(
        (names[a["image_id"]], classes[a["category_id"]], a["bbox"]) for a in content["annotations"]
    )
