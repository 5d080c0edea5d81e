"""Who says what of weights, and whom to believe. Engine-neutral."""

from dataclasses import dataclass, field, fields

from resnext_det.weights.side_car import SideCar

_WHO = {
    "side_car": "its side-car",
    "content": "the config in it",
    "place": "the name it was fetched by",
    "catalogue": "the catalogue",
    "names": "its tensors' names",
}


@dataclass(frozen=True)
class Statements:
    """What each says who knows something of a file, the most trusted first.

    Attributes:
        side_car: the side-car in the file or beside it.
        content: what a checkpoint of ours says of itself, in its config and class names.
        place: what is known of the name or address that the file was fetched by.
        catalogue: what the catalogue has of a file with this digest.
        names: what the names of its tensors imply.
    """

    side_car: SideCar = field(default_factory=SideCar)
    content: SideCar = field(default_factory=SideCar)
    place: SideCar = field(default_factory=SideCar)
    catalogue: SideCar = field(default_factory=SideCar)
    names: SideCar = field(default_factory=SideCar)

    @property
    def known(self) -> SideCar:
        """All that is said; of two who say something, the more trusted is believed."""
        known = SideCar()
        for speaker in fields(self):
            known = known.over(getattr(self, speaker.name))
        return known

    def who_says(self, name: str) -> str | None:
        """Returns who says the field of that name in `known`, in words; None where nobody does."""
        for speaker in fields(self):
            if getattr(getattr(self, speaker.name), name) != getattr(SideCar(), name):
                return _WHO[speaker.name]
        return None
