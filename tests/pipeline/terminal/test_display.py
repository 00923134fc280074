"""What a person at a terminal sees before frames flow."""

from io import StringIO

from rich.console import Console

from pipeline.terminal.display import LiveLine, live_progress, print_report, status_line
from stages.packets import Percentiles, SourceStatus, Status


def shown(step: str, *, terminal: bool) -> str:
    text = StringIO()
    with live_progress(Console(file=text, force_terminal=terminal, width=120)) as progress:
        LiveLine(progress).opening(step)
    return text.getvalue()


def test_the_live_line_tells_what_is_being_opened() -> None:
    assert "opening: loading the network onto cuda:0" in shown("loading the network onto cuda:0", terminal=True)


def test_where_nobody_looks_it_says_nothing() -> None:
    assert shown("loading the network onto cuda:0", terminal=False) == ""


def status(state: str, **counts: int) -> Status:
    source = SourceStatus(state, 3.2, "connection refused" if state == "lost" else "", 4.0, "arrival", counts)
    return Status("hands", "running", "", 9.0, 5, 1, 0.0, Percentiles(1.0, 2.0, 3.0), (), (), {}, source=source)


def test_the_live_line_begins_with_a_source_that_is_not_as_usual() -> None:
    assert status_line(status("lost")).startswith("lost for 3 s (connection refused)  0.0 frames/s")
    assert status_line(status("live")).startswith("0.0 frames/s")


def test_the_report_tells_what_happened_to_the_source() -> None:
    text = StringIO()
    print_report(Console(file=text, width=120), status("live", reconnections=2, stalls=1), [], live=True)
    assert "source: reconnections 2, stalls 1" in text.getvalue()
