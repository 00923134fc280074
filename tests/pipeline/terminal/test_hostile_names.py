"""Sources, folders and reasons whose names are markup or escape sequences are shown as they are."""

import io
import re
from dataclasses import replace
from math import nan
from pathlib import Path

import pytest

from pipeline.commands.cli import app
from pipeline.terminal import LiveLine, live_progress, print_report, run_app
from stages.common.terminal import Terminal
from stages.packets import Choice, Percentiles, Status

EVIL = "out[/x]\x1b]0;evil\x07[red]"
TIMES = Percentiles(nan, nan, nan)
STATUS = Status("hands", "failed", EVIL, 1.0, 3, 0, 3.0, TIMES, (), (Choice(EVIL, EVIL, EVIL, True),), {EVIL: 2})


@pytest.mark.parametrize("terminal", [False, True])
def test_a_report_and_a_live_line_show_them(terminal: bool) -> None:
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=terminal, width=400)
    with live_progress(console) as progress:
        line = LiveLine(progress)
        line.opening(EVIL)
        line.update(STATUS)
    print_report(console, replace(STATUS, errors={EVIL: 1}), [EVIL], told=False)
    written = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", file.getvalue())  # rich's own colours
    assert written.count("out[/x]␛]0;evil[red]") >= 6
    assert not {"\x1b", "\x07"} & set(written)


def test_an_error_shows_them(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert run_app(app, ["run", f"{tmp_path}/{EVIL}.mp4"]) == 2
    assert run_app(app, ["info", f"{tmp_path}/{EVIL}"]) == 2
    assert run_app(app, ["run", "--preset", EVIL, "x"]) == 2
    told = capsys.readouterr()
    assert "[/x]" in told.err
    assert not {"\x1b", "\x07"} & set(told.err + told.out)
