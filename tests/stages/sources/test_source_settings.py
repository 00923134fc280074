"""Settings of sources: their groups, what contradicts itself, and the names they had before."""

from typing import Any

import pytest
from pydantic import ValidationError

from stages.sources import SourceSettings
from stages.sources.settings import MOVED


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lens": {"fx": 500}}, "fy, cx, cy is missing"),
        ({"lens": {"fx": 500, "fy": 500, "cx": 320}}, "cy is missing"),
        ({"lens": {"fx": 500, "fy": 500, "cx": 320, "cy": 240, "field_of_view": 60}}, "found several"),
        ({"lens": {"field_of_view": 60, "calibration": "camera.yaml"}}, "found several"),
        ({"lens": {"field_of_view": 180}}, r"(?s)lens\.field_of_view.*179\.9"),
        ({"lens": {"fx": 0, "fy": 1, "cx": 1, "cy": 1}}, r"(?s)lens\.fx.*0\.001"),
        ({"camera": {"width": 640}}, "width and height together"),
        ({"decoding": {"max_side": 4}}, r"(?s)decoding\.max_side.*16"),
        ({"loop": True}, "loop"),
        ({"lens": {"loop": True}}, r"lens\.loop"),
        ({"fx": 500}, "fy, cx, cy is missing"),
        ({"fx": 500, "lens": 3}, "lens"),
    ],
)
def test_settings_that_contradict_themselves_are_refused(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        SourceSettings(**given)


def test_nothing_needs_to_be_set() -> None:
    assert not SourceSettings().realtime


def test_names_of_earlier_versions_are_understood() -> None:
    settings = SourceSettings.model_validate(
        {"fx": 500, "fy": 501, "cx": 320, "cy": 240, "images": "stills", "image_rate": 10, "decoder_threads": 2,
         "camera_width": 640, "camera_height": 480, "reconnect": False, "live": {"open_timeout": 3}}
    )  # fmt: skip
    assert (settings.lens.fx, settings.lens.cy) == (500, 240)
    assert (settings.pictures.kind, settings.pictures.rate, settings.decoding.threads) == ("stills", 10, 2)
    assert (settings.camera.width, settings.camera.height) == (640, 480)
    assert (settings.live.reconnect, settings.live.open_timeout) == (False, 3)


def test_every_old_name_leads_to_a_setting_that_is_there() -> None:
    for group, key in MOVED.values():
        assert key in type(getattr(SourceSettings(), group)).model_fields
