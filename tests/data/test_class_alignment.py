"""Test sets in a model's class numbers, by name. Engine-neutral."""

from pathlib import Path

import pytest

from resnext_det.data.catalog import DatasetEntry
from resnext_det.data.class_alignment import align_classes
from resnext_det.data.classification_set import ClassificationSet, EncodedImage
from resnext_det.errors import UserError

MODEL = ("ant", "bee", "cat", "dog")


class Letters:
    """Images whose bytes are the name of their class."""

    def __init__(self, names, labels):
        self.names, self.labels = names, labels

    def __len__(self):
        return len(self.labels)

    def name(self, index):
        return f"{index}.png"

    def label(self, index):
        return self.labels[index]

    def read(self, index):
        label = self.labels[index]
        return EncodedImage(self.name(index), self.names[label].encode(), label)


def made(names, labels):
    entry = DatasetEntry("pets", None, Path("pets"))
    return ClassificationSet(entry, Letters(names, labels), tuple(names))


def named(aligned):
    """Name by the model's numbers, and by the bytes, of each image."""
    dataset = aligned.dataset
    return [
        (dataset.class_names[dataset.images.label(i)], dataset.images.read(i).data.decode())
        for i in range(len(dataset))
    ]


def test_equal_classes_are_left_alone():
    dataset = made(MODEL, [0, 3, 1])
    aligned = align_classes(dataset, MODEL, "w.pth", allow_subset=False)
    assert aligned.dataset is dataset
    assert aligned.own_classes is None


def test_another_order_is_put_right_by_name():
    aligned = align_classes(made(MODEL[::-1], [0, 1, 3]), MODEL, "w.pth", allow_subset=False)
    assert named(aligned) == [("dog", "dog"), ("cat", "cat"), ("ant", "ant")]
    assert aligned.dataset.class_names == MODEL
    assert aligned.own_classes is None
    image = aligned.dataset.images.read(0)
    assert (image.name, image.label, aligned.dataset.images.name(0)) == ("0.png", 3, "0.png")


def test_some_classes_keep_their_numbers_in_the_model():
    aligned = align_classes(made(["dog", "bee"], [0, 1, 1]), MODEL, "w.pth", allow_subset=True)
    assert named(aligned) == [("dog", "dog"), ("bee", "bee"), ("bee", "bee")]
    assert aligned.own_classes == (3, 1)
    assert len(aligned.dataset.subset([1])) == 1


def test_no_images():
    aligned = align_classes(made(["dog"], []), MODEL, "w.pth", allow_subset=True)
    assert (len(aligned.dataset), aligned.own_classes) == (0, (3,))


def test_some_classes_are_refused_with_a_hint():
    expected = (
        "w.pth and pets do not have the same classes: 'ant' is in w.pth but not in pets; 2 such "
        "class(es); TEST.CLASS_SUBSET True scores a set of some classes only"
    )
    with pytest.raises(UserError) as error:
        align_classes(made(["dog", "bee"], [0]), MODEL, "w.pth", allow_subset=False)
    assert str(error.value) == expected


@pytest.mark.parametrize("subset", [False, True])
def test_a_class_that_the_model_has_not(subset):
    expected = (
        "w.pth and pets do not have the same classes: 'elk' is in pets but not in w.pth; 4 such "
        "class(es)"
    )
    with pytest.raises(UserError) as error:
        align_classes(made(["dog", "elk"], [0]), MODEL, "w.pth", allow_subset=subset)
    assert str(error.value) == expected
