from typing import Any

import pytest
from pydantic import ValidationError

from stages.sources import SourceSettings


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"fx": 500}, "fy, cx, cy is missing"),
        ({"fx": 500, "fy": 500, "cx": 320}, "cy is missing"),
        ({"fx": 500, "fy": 500, "cx": 320, "cy": 240, "field_of_view": 60}, "found several"),
        ({"field_of_view": 60, "calibration": "camera.yaml"}, "found several"),
        ({"field_of_view": 180}, "less than or equal to 179.9"),
        ({"fx": 0, "fy": 1, "cx": 1, "cy": 1}, "greater than or equal to 0.001"),
        ({"camera_width": 640}, "camera_height together"),
        ({"max_side": 4}, "greater than or equal to 16"),
        ({"loop": True}, "Extra inputs"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceSettings(**given)


def test_nothing_needs_to_be_set() -> None:
    assert not SourceSettings().realtime
