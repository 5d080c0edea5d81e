"""Finds objects in an image with an exported detector: ONNX Runtime and OpenCV are all it needs.

python detect.py model.onnx photo.jpg --output found.jpg
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnxruntime  # pyright: ignore[reportMissingImports]


def main() -> int:
    """Prints what is found, one box a line, and draws it where a file is named for that.

    Returns:
        The exit status: 0, or 2 after a mistake, which is said in one line.
    """
    args = parse_arguments()
    try:
        session = open_detector(args.model)
        pixels = read_image(args.image)
        boxes, scores, classes = detect(session, pixels)
    except ValueError as mistake:
        print(f"error: {mistake}", file=sys.stderr)
        return 2
    names = class_names(session)
    kept = scores >= args.score_thresh
    for box, score, label in zip(boxes[kept], scores[kept], classes[kept], strict=True):
        corners = " ".join(f"{value:.1f}" for value in box)
        print(f"{names[label]} {score:.3f} {corners}")
        if args.output:
            draw(pixels, box, f"{names[label]} {score:.2f}")
    if args.output and not is_written(args.output, pixels):
        print(f"error: {args.output}: cannot be written", file=sys.stderr)
        return 2
    return 0


def parse_arguments() -> argparse.Namespace:
    """Reads the command line."""
    parser = argparse.ArgumentParser(description="Find objects with an exported detector.")
    parser.add_argument("model", help="the .onnx file of `resnext-det export`")
    parser.add_argument("image", help="a picture that OpenCV reads")
    parser.add_argument("--score-thresh", type=float, default=0.5, help="show boxes from it (0.5)")
    parser.add_argument("--output", help="a picture with the boxes in it")
    return parser.parse_args()


def open_detector(file: str) -> Any:
    """Loads the detector.

    Raises:
        ValueError: it is missing, or no exported detector.
    """
    if not Path(file).is_file():
        raise ValueError(f"{file}: no such file")
    try:
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has a class for each kind, with no common one
        raise ValueError(f"{file}: ONNX Runtime cannot load it: {str(error)[:200]}") from error
    if "resnext_det" not in session.get_modelmeta().custom_metadata_map:
        raise ValueError(f"{file}: not written by `resnext-det export`")
    return session


def class_names(session: Any) -> list[str]:
    """Returns the names of the classes, which the file holds."""
    return json.loads(session.get_modelmeta().custom_metadata_map["class_names"])


def read_image(file: str) -> np.ndarray:
    """Returns an image as OpenCV has it, (H, W, 3) uint8 BGR, upright.

    Raises:
        ValueError: it is missing or broken.
    """
    try:
        pixels = cv2.imread(file, cv2.IMREAD_COLOR)
    except cv2.error as error:  # too many pixels
        raise ValueError(f"{file}: OpenCV reads no image there") from error
    if pixels is None:
        raise ValueError(f"{file}: OpenCV reads no image there")
    return pixels


def detect(session: Any, pixels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds objects; resizing and all else is in the file.

    Args:
        session: the detector.
        pixels: (H, W, 3) uint8 BGR.

    Returns:
        boxes (R, 4) float32, x0, y0, x1, y1 in pixels; scores (R,); classes (R,); best first.

    Raises:
        ValueError: the detector takes images of another size or kind.
    """
    images = np.ascontiguousarray(pixels[:, :, ::-1])[None]  # (1, H, W, 3), RGB
    check_input(session, images)
    boxes, scores, classes, _ = session.run(None, {"images": images})
    return boxes, scores, classes


def check_input(session: Any, images: np.ndarray) -> None:
    """Compares images with what the detector takes.

    Raises:
        ValueError: they are of another type or shape.
    """
    wanted = session.get_inputs()[0]
    if wanted.type != "tensor(uint8)" or images.dtype != np.uint8:
        raise ValueError(f"the detector takes {wanted.type}, the image is {images.dtype}")
    pairs = zip(wanted.shape, images.shape, strict=True)
    # A name stands for any number.
    if not all(not isinstance(want, int) or want == has for want, has in pairs):
        shape = "x".join(str(side) for side in wanted.shape)
        raise ValueError(
            f"the detector takes images of {shape}, these are {'x'.join(map(str, images.shape))} "
            "(number, height, width, channels): resize, or export without --fixed"
        )


def is_written(file: str, pixels: np.ndarray) -> bool:
    """Writes a picture, and returns whether that went well; its ending says in which format."""
    try:
        return cv2.imwrite(file, pixels)
    except cv2.error:  # an ending that it does not know
        return False


def draw(pixels: np.ndarray, box: np.ndarray, text: str) -> None:
    """Draws a box and what is in it."""
    x0, y0, x1, y1 = (round(float(value)) for value in box)
    cv2.rectangle(pixels, (x0, y0), (x1, y1), (0, 200, 0), 2)
    cv2.putText(pixels, text, (x0, max(y0 - 4, 12)), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (0, 200, 0), 1)


if __name__ == "__main__":
    sys.exit(main())
