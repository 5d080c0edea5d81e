"""Whom to believe of those who say something of weights. Engine-neutral."""

from dataclasses import fields

import pytest

from resnext_det.weights.side_car import SideCar
from resnext_det.weights.statements import Statements

TRUST = ("side_car", "content", "place", "catalogue", "names")


def test_nobody_says_anything():
    assert Statements().known == SideCar()
    assert Statements().who_says("licence") is None


def test_every_speaker_is_in_the_order_of_trust():
    assert tuple(field.name for field in fields(Statements)) == TRUST


@pytest.mark.parametrize("first", TRUST)
def test_the_most_trusted_is_believed(first):
    speaking = TRUST[TRUST.index(first) :]
    said = Statements(**{who: SideCar(licence=who) for who in speaking})
    assert said.known.licence == first
    assert said.who_says("licence") == Statements(**{first: SideCar("", licence="x")}).who_says(
        "licence"
    )


def test_the_less_trusted_says_what_the_others_leave_open():
    said = Statements(side_car=SideCar(licence="MIT"), names=SideCar(licence="X", norm="GN"))
    assert (said.known.licence, said.known.norm) == ("MIT", "GN")
    assert said.who_says("licence") == "its side-car"
    assert said.who_says("norm") == "its tensors' names"
