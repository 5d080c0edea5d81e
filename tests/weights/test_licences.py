"""Which licences each policy lets through, and what is said. Engine-neutral."""

import pytest

from resnext_det.errors import UserError
from resnext_det.weights.licences import (
    allows_commercial,
    check_licence,
    is_non_commercial,
    normalised,
)
from resnext_det.weights.side_car import FROM_SCRATCH, SideCar

NON_COMMERCIAL = ["CC-BY-NC-4.0", "cc-by-nc-sa-3.0", "CC-BY-NC-ND-4.0", "CC-BY-NC",
                  "CC-BY-NC-SA-2.0-FR", "PolyForm-Noncommercial-1.0.0"]  # fmt: skip
COMMERCIAL = ["BSD-3-Clause", "apache-2.0", "CC-BY-SA-3.0", "MIT", "CC0-1.0"]
UNKNOWN = ["", "other", "LicenseRef-mine", "CC-BY-NCX-4.0", "MIT-ish"]


def message(licence, policy, origin=""):
    with pytest.raises(UserError) as error:
        check_licence(SideCar(licence=licence, origin=origin), "x.pth", policy)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("licence", NON_COMMERCIAL)
def test_non_commercial_ones_are_refused_by_both_policies(licence):
    assert is_non_commercial(licence)
    assert not allows_commercial(licence)
    for policy in ("commercial", "known_commercial"):
        text = message(licence, policy)
        assert f"MODEL.WEIGHTS_LICENCE_POLICY is {policy}, but x.pth is under " in text
        assert licence.upper() in text
        assert "set MODEL.WEIGHTS_LICENCE_POLICY any" in text
    check_licence(SideCar(licence=licence), "x.pth", "any")


@pytest.mark.parametrize("licence", COMMERCIAL)
def test_commercial_ones_pass_without_a_word(licence, caplog):
    for policy in ("any", "commercial", "known_commercial"):
        check_licence(SideCar(licence=licence), "x.pth", policy)
    assert not caplog.records


@pytest.mark.parametrize("licence", UNKNOWN)
def test_unknown_ones_are_warned_of_or_refused(licence, caplog):
    check_licence(SideCar(licence=licence), "x.pth", "any")
    assert not caplog.records
    check_licence(SideCar(licence=licence), "x.pth", "commercial")
    shown = f"{licence!r}, which is not known here" if licence else "not known"
    assert f"the licence of x.pth is {shown}: see that it allows" in caplog.text
    text = message(licence, "known_commercial")
    assert f"but the licence of x.pth is {shown}: name other weights, or say its SPDX" in text


def test_the_origin_is_named():
    text = message("CC-BY-NC-4.0", "commercial", "https://host/resnext_50_32x4d.t7")
    assert "forbids commercial use (it comes from https://host/resnext_50_32x4d.t7): name" in text
    assert "comes from" not in message("CC-BY-NC-4.0", "commercial", "x.pth")


def test_weights_trained_from_scratch_have_nobodys_licence(caplog):
    check_licence(SideCar(origin=FROM_SCRATCH), "x.pth", "known_commercial")
    assert not caplog.records


@pytest.mark.parametrize(
    ("expression", "forbids", "allows"),
    [
        ("MIT OR Apache-2.0", False, True),
        ("(MIT AND CC-BY-NC-4.0)", True, False),
        ("MIT AND other", False, False),
    ],
)
def test_expressions_are_taken_strictly(expression, forbids, allows):
    assert is_non_commercial(expression) is forbids
    assert allows_commercial(expression) is allows


def test_spelling_is_spdx():
    assert normalised("bsd-3-clause") == "BSD-3-Clause"
    assert normalised(" cc-by-nc-4.0 ") == "CC-BY-NC-4.0"
    assert normalised("Other") == "Other"


@pytest.mark.parametrize(
    "licence",
    ["CC BY-NC 4.0", "cc_by_nc_4.0", "CC-BY-NC-4.0+", "LicenseRef-research-NC", "non-commercial",
     "Creative Commons Attribution-NonCommercial 4.0",
     "https://creativecommons.org/licenses/by-nc/4.0/", "MIT AND CC BY-NC 4.0"],
)  # fmt: skip
def test_non_commercial_in_other_words_is_refused_as_well(licence):
    assert is_non_commercial(licence)
    assert f"x.pth is under {licence}, which forbids" in message(licence, "commercial")


@pytest.mark.parametrize("licence", ["CC BY 4.0", "NCSA", "Incremental-1.0", "ncurses", "X11-NCX"])
def test_letters_alone_forbid_nothing(licence):
    assert not is_non_commercial(licence)


@pytest.mark.parametrize("policy", ["commercial", "known_commercial"])
def test_own_weights_under_a_licence_are_held_to_it(policy):
    assert "forbids commercial use" in message("CC-BY-NC-4.0", policy, FROM_SCRATCH)
    check_licence(SideCar(origin=FROM_SCRATCH), "x.pth", policy)
