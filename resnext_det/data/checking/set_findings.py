"""What sets tell beside each other: classes absent or different, twins. Engine-neutral."""

from collections import Counter
from collections.abc import Iterator, Sequence

from resnext_det.data.checking.findings import CheckKind, Finding
from resnext_det.data.checking.set_facts import SetFacts, per_image_counts
from resnext_det.data.checking.subjects import CheckedSet
from resnext_det.data.checking.twins import Twin

_LEAKS = {
    "file": CheckKind.LEAK_FILE,
    "pixels": CheckKind.LEAK_PIXELS,
    "near": CheckKind.LEAK_NEAR,
}
_TWINS = {
    "file": CheckKind.TWIN_FILE,
    "pixels": CheckKind.TWIN_PIXELS,
    "near": CheckKind.TWIN_NEAR,
}
_SAID = {
    "file": "is the same file as",
    "pixels": "has the same pixels as",
    "near": "is nearly the same picture as",
}


def nothing_to_train(checked: CheckedSet) -> Iterator[Finding]:
    """Yields a finding on a set to train on whose images have no usable object."""
    if checked.is_read and checked.is_detection and checked.objects.iscrowd.all():
        reason = "no image has a usable object, so there is nothing to train on"
        advice = "name a set with objects first"
        yield Finding(checked.name, CheckKind.NOTHING_TO_TRAIN.value, "", reason, advice)


def object_findings(checked: CheckedSet, most: int) -> Iterator[Finding]:
    """Yields images without an object, and those with more than detections are kept.

    Args:
        checked: a detection set; of others, or one without any object, nothing is yielded.
        most: `TEST.DETECTIONS_PER_IMAGE`.
    """
    if not checked.is_detection or not len(checked.objects.images):
        return
    for place, count in enumerate(per_image_counts(checked).tolist()):
        image = checked.images[place]
        if count and count <= most:
            continue
        kind = CheckKind.MANY_OBJECTS if count else CheckKind.NO_OBJECT
        reason = (
            f"has {count} objects, but {most} detections are kept" if count else "has no object"
        )
        where = f"image {image.name} (id {image.image_id})"
        yield Finding(checked.name, kind.value, where, reason, "", image.name, image.image_id)


def class_findings(sets: Sequence[CheckedSet], facts: Sequence[SetFacts]) -> Iterator[Finding]:
    """Yields categories that differ, and classes that a set lacks; the first set is trained on."""
    train, *tests = sets
    for checked in sets:
        yield from _repeated_names(checked)
    for test in tests:
        yield from _differing(train, test)
    used = [{name for name, count in fact.classes.items() if count.objects} for fact in facts]
    names = dict.fromkeys(name for fact in facts for name in fact.classes)
    for name in names:
        having = [number for number, some in enumerate(used) if name in some]
        where = f"class '{name}'"
        if not having:
            yield Finding(train.name, CheckKind.CLASS_EMPTY.value, where, "has no object anywhere")
            continue
        if 0 not in having:
            others = ", ".join(sets[number].name for number in having)
            reason = f"has objects in {others}, but none in {train.name}"
            yield Finding(
                train.name,
                CheckKind.CLASS_UNTRAINED.value,
                where,
                reason,
                "it cannot be learnt, and its AP of 0 counts in the mean",
            )
            continue
        for number, test in enumerate(tests, start=1):
            if number not in having and test.images:
                reason = f"has objects in {train.name}, but none in {test.name}"
                yield Finding(test.name, CheckKind.CLASS_UNTESTED.value, where, reason)


def _repeated_names(checked: CheckedSet) -> Iterator[Finding]:
    for name, count in Counter(checked.class_names).items():
        if checked.is_detection and count > 1:
            reason = f"stands for {count} categories, each of which is a class of its own"
            yield Finding(checked.name, CheckKind.CLASS_TWICE.value, f"class '{name}'", reason)


def _differing(train: CheckedSet, test: CheckedSet) -> Iterator[Finding]:
    if not train.class_names or not test.class_names:  # one could not be read: said already
        return
    ours, theirs = _numbered(train), _numbered(test)
    for key in sorted(ours.keys() | theirs.keys()):
        one, other = ours.get(key), theirs.get(key)
        if one != other:
            where = f"category id {key}" if train.is_detection else f"class number {key}"
            reason = f"is {_quoted(one)} in {train.name} and {_quoted(other)} in {test.name}"
            yield Finding(
                test.name, CheckKind.CATEGORIES_DIFFER.value, where, reason, "make them alike"
            )


def _numbered(checked: CheckedSet) -> dict[int, str]:
    ids = checked.category_ids or range(len(checked.class_names))
    return dict(zip(ids, checked.class_names, strict=True))


def _quoted(name: str | None) -> str:
    return "absent" if name is None else f"'{name}'"


def twin_findings(sets: Sequence[CheckedSet], twins: Sequence[Twin]) -> Iterator[Finding]:
    """Yields a finding for each twin; its set is that of the repetition."""
    for twin in twins:
        first, second = sets[twin.first[0]], sets[twin.second[0]]
        one, other = first.images[twin.first[1]], second.images[twin.second[1]]
        leaks = twin.first[0] != twin.second[0]
        kind = (_LEAKS if leaks else _TWINS)[twin.how]
        reason = f"{_SAID[twin.how]} {one.name}" + (f" of {first.name}" if leaks else "")
        classes = _class_of(first, twin.first[1]), _class_of(second, twin.second[1])
        if classes[0] != classes[1]:
            reason += f", but of class '{classes[1]}', not '{classes[0]}'"
            if not leaks and twin.how != "near":
                kind = CheckKind.TWIN_OTHER_CLASS
        yield Finding(
            second.name,
            kind.value,
            f"image {other.name}",
            reason,
            "take it out of one of the sets" if leaks else "",
            other.name,
            other.image_id,
            f"{first.name}: {one.name}",
        )


def _class_of(checked: CheckedSet, place: int) -> str:
    """Returns the class of an image of a classification set, "" of a detection set."""
    if checked.is_detection:
        return ""
    return checked.class_names[int(checked.objects.classes[place])]
