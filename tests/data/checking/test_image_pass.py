"""Images decoded in several processes."""

import pytest

from resnext_det.data.checking.image_facts import look_at
from resnext_det.data.checking.image_pass import look_at_all
from tests.data.checking.crashing import CrashingReader


@pytest.mark.slow  # two pools of processes, and one more for each image around the culprit
def test_an_image_that_ends_its_process_is_named_and_the_others_are_read():
    reader = CrashingReader(40, crash=7)
    found = look_at_all(reader, "decoding", processes=2)
    assert [place for place, facts in enumerate(found) if facts.error] == [7]
    assert found[7].error.startswith("the process that decoded it was ended")
    sound = CrashingReader(40, crash=-1)
    assert found[:7] + found[8:] == [look_at(sound, place) for place in range(40) if place != 7]
