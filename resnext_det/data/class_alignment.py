"""A test set whose classes are put, by name, into the order of a model's. Engine-neutral."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from resnext_det.data.classification_set import ClassificationSet, EncodedImage, ImageSource
from resnext_det.errors import UserError

SUBSET_KEY = "TEST.CLASS_SUBSET"


@dataclass(frozen=True)
class RelabelledImages:
    """The images of a source with other class numbers.

    Attributes:
        source: the images.
        numbers: for each class of the source its new number.
    """

    source: ImageSource
    numbers: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.source)

    def name(self, index: int) -> str:
        """Returns what messages call an image."""
        return self.source.name(index)

    def label(self, index: int) -> int:
        """Returns the new class number of an image."""
        return self.numbers[self.source.label(index)]

    def read(self, index: int) -> EncodedImage:
        """Reads an image, with its new class number."""
        image = self.source.read(index)
        return image._replace(label=self.numbers[image.label])


@dataclass(frozen=True)
class AlignedSet:
    """A test set in a model's own class numbers.

    Attributes:
        dataset: its class names are all K of the model, in the order of the logits.
        own_classes: the numbers of the classes that the set has, in the order of its own names;
            None where it has all.
    """

    dataset: ClassificationSet
    own_classes: tuple[int, ...] | None = None


def align_classes(
    dataset: ClassificationSet,
    class_names: Sequence[str],
    whose: object,
    *,
    allow_subset: bool,
) -> AlignedSet:
    """Gives the images of a test set the class numbers of a model, by the classes' names.

    Args:
        dataset: the test set.
        class_names: the model's, in the order of its logits.
        whose: where these come from, for the message: the training set's place, or a file.
        allow_subset: TEST.CLASS_SUBSET, whether the set may have some of them only.

    Raises:
        UserError: the set has a class that the model has not, or lacks one and may not.
    """
    own, known = dataset.class_names, tuple(class_names)
    if own == known:
        return AlignedSet(dataset)
    unknown = sorted(set(own) - set(known))
    lacking = sorted(set(known) - set(own))
    place = dataset.entry.location
    if unknown or (lacking and not allow_subset):
        stray, there, not_there = (
            (unknown[0], place, whose) if unknown else (lacking[0], whose, place)
        )
        hint = f"; {SUBSET_KEY} True scores a set of some classes only" if not unknown else ""
        raise UserError(
            f"{whose} and {place} do not have the same classes: '{stray}' is in {there} but not "
            f"in {not_there}; {len(unknown) + len(lacking)} such class(es){hint}"
        )
    number_of = {name: number for number, name in enumerate(known)}
    numbers = tuple(number_of[name] for name in own)
    images = RelabelledImages(dataset.images, numbers)
    aligned = replace(dataset, images=images, class_names=known)
    return AlignedSet(aligned, numbers if lacking else None)
