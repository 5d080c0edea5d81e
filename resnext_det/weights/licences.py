"""Licences of weights, and which a run may start from. Engine-neutral.

Identifiers are SPDX's (https://spdx.org/licenses/).
"""

import logging
import re

from resnext_det.errors import UserError
from resnext_det.weights.choices import ANY, KNOWN_COMMERCIAL
from resnext_det.weights.side_car import FROM_SCRATCH, SideCar

POLICY_KEY = "MODEL.WEIGHTS_LICENCE_POLICY"

# Licences that model weights carry; each allows commercial use, some ask for something in return
# (a notice, the same licence). Whatever is neither here nor non-commercial counts as not known.
_COMMERCIAL = (
    "0BSD",
    "AGPL-3.0-only",
    "AGPL-3.0-or-later",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC-BY-2.0",
    "CC-BY-3.0",
    "CC-BY-4.0",
    "CC-BY-SA-2.0",
    "CC-BY-SA-3.0",
    "CC-BY-SA-4.0",
    "CC0-1.0",
    "GPL-2.0-only",
    "GPL-2.0-or-later",
    "GPL-3.0-only",
    "GPL-3.0-or-later",
    "ISC",
    "LGPL-2.1-only",
    "LGPL-2.1-or-later",
    "LGPL-3.0-only",
    "LGPL-3.0-or-later",
    "MIT",
    "MIT-0",
    "MPL-2.0",
    "Unlicense",
    "Zlib",
)
_BY_FOLDED = {name.lower(): name for name in _COMMERCIAL}
# Creative Commons' with the letters NC, and PolyForm's, of any version.
_NON_COMMERCIAL = re.compile(
    r"cc-by-nc(-sa|-nd)?(-\d\.\d(-\w+)?)?|polyform-noncommercial-\d\.\d\.\d"
)
# What people write instead: "CC BY-NC 4.0", ".../licenses/by-nc/4.0/", "non-commercial use only".
_SAYS_NON_COMMERCIAL = re.compile(r"(?<![a-z0-9])nc(?![a-z0-9])|non[\W_]?commercial")


def normalised(licence: str) -> str:
    """Returns an identifier as SPDX spells it where it is known here, else as it stands."""
    folded = licence.strip().lower()
    is_identifier = _NON_COMMERCIAL.fullmatch(folded) is not None
    return _BY_FOLDED.get(folded, folded.upper() if is_identifier else licence.strip())


def is_non_commercial(licence: str) -> bool:
    """Tells a licence that forbids commercial use; of several in one expression, any that does."""
    return _SAYS_NON_COMMERCIAL.search(licence.lower()) is not None


def allows_commercial(licence: str) -> bool:
    """Tells a licence that is known to allow commercial use; of several, whether all do."""
    parts = _parts(licence)
    return bool(parts) and all(part in _BY_FOLDED for part in parts)


def check_licence(side_car: SideCar, source: str, policy: str) -> None:
    """Refuses weights that the policy does not allow.

    Args:
        side_car: with their licence, or none; weights trained from scratch here have no other's.
        source: as the user named them.
        policy: MODEL.WEIGHTS_LICENCE_POLICY.

    Raises:
        UserError: they are for non-commercial use; or, under "known_commercial", nobody says that
            they are not.
    """
    licence = normalised(side_car.licence)
    if policy == ANY:
        return
    if is_non_commercial(licence):
        raise UserError(
            f"{POLICY_KEY} is {policy}, but {source} is under {licence}, which forbids commercial "
            f"use{_origin(side_car, source)}: name other weights, or set {POLICY_KEY} {ANY}"
        )
    if allows_commercial(licence) or (not licence and side_car.origin == FROM_SCRATCH):
        return
    what = f"{licence!r}, which is not known here" if licence else "not known"
    if policy == KNOWN_COMMERCIAL:
        raise UserError(
            f"{POLICY_KEY} is {policy}, but the licence of {source} is {what}"
            f"{_origin(side_car, source)}: name other weights, or say its SPDX identifier with "
            "`resnext-det weights convert --licence`, or as `licence` in a side-car"
        )
    logging.getLogger(__name__).warning(
        "%s is %s, and the licence of %s is %s: see that it allows what you do",
        POLICY_KEY,
        policy,
        source,
        what,
    )


def _origin(side_car: SideCar, source: str) -> str:
    known = side_car.origin and side_car.origin != source
    return f" (it comes from {side_car.origin})" if known else ""


def _parts(licence: str) -> list[str]:
    """The identifiers in an SPDX expression, in small letters."""
    words = re.split(r"\s+(?:and|or)\s+", licence.strip().strip("()").lower())
    return [word.strip("() ") for word in words if word.strip("() ")]
