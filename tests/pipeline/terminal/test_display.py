"""What a person at a terminal sees before frames flow."""

from io import StringIO

from rich.console import Console

from pipeline.terminal.display import LiveLine, live_progress


def shown(step: str, *, terminal: bool) -> str:
    text = StringIO()
    with live_progress(Console(file=text, force_terminal=terminal, width=120)) as progress:
        LiveLine(progress).opening(step)
    return text.getvalue()


def test_the_live_line_tells_what_is_being_opened() -> None:
    assert "opening: loading the network onto cuda:0" in shown("loading the network onto cuda:0", terminal=True)


def test_where_nobody_looks_it_says_nothing() -> None:
    assert shown("loading the network onto cuda:0", terminal=False) == ""
