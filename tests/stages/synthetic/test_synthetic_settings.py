"""What `synthetic:` can be told."""

import pytest

from hamba_core.errors import ConfigurationError
from stages.synthetic import SyntheticSettings, parse_synthetic, synthetic_source


def test_nothing_said_gives_the_defaults() -> None:
    assert parse_synthetic("synthetic:") == SyntheticSettings()


def test_every_option_can_be_said() -> None:
    text = "synthetic:?seed=3&width=1280&height=720&seconds=20&fps=25&hands=1&live=1"
    expected = SyntheticSettings(seed=3, width=1280, height=720, seconds=20, fps=25, hands=1, live=True)
    assert parse_synthetic(text) == expected


def test_an_unknown_option_names_the_known_ones_and_the_nearest() -> None:
    with pytest.raises(ConfigurationError) as caught:
        synthetic_source("synthetic:?sed=3")
    message = str(caught.value)
    assert "did you mean 'seed'" in message
    assert all(key in message for key in SyntheticSettings.model_fields)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("width=8", "width"),
        ("height=ten", "height"),
        ("hands=3", "hands"),
        ("fps=nan", "fps"),
        ("seconds=0", "seconds"),
        ("seconds=inf", "seconds"),
        ("seed=-1", "seed"),
        ("seed=", "seed"),
        ("seed=1&seed=2", "seed"),
        ("seed", "key=value"),
    ],
)
def test_a_bad_value_is_named_with_what_was_found(query: str, named: str) -> None:
    with pytest.raises(ConfigurationError, match=named) as caught:
        parse_synthetic(f"synthetic:?{query}")
    assert query.rpartition("=")[2] in str(caught.value)


@pytest.mark.parametrize("text", ["synthetic", "synthetic:seed=3", "synthetic://?seed=3"])
def test_options_without_a_question_mark_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match="expected 'synthetic:'"):
        parse_synthetic(text)


def test_the_length_is_ten_seconds_where_nothing_else_is_said_and_endless_where_live() -> None:
    assert SyntheticSettings().frames == 300
    assert SyntheticSettings(live=True).frames is None
    assert SyntheticSettings(live=True, seconds=2, fps=15).frames == 30
    assert SyntheticSettings(seconds=0.001).frames == 1
