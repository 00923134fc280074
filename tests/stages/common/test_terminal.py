"""Nothing that a name or a message holds is obeyed by the terminal."""

import io
import logging
import re
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from rich.progress import Progress, TextColumn
from rich.table import Table
from rich.text import Text

from stages.common.terminal import Terminal, log_to_terminal, shown, tell

EVIL = "a[/x][bold]\x1b]8;;http://evil\x07link\x1b[2J\x9b31m\x00\r\u202egnp.exe\x7f\ud800[link=http://evil]b"
OBEYED = set("\x1b\x07\x9b\x00\r\u202e\x7f\ud800")


@given(st.text(st.characters(codec=None)))
def test_what_is_shown_has_no_control_characters_and_as_many_signs(text: str) -> None:
    seen = shown(text)
    assert not {sign for sign in seen if ord(sign) < 0x20 or 0x7F <= ord(sign) < 0xA0} - set("\n\t")
    assert not OBEYED & set(seen)
    seen.encode()


def test_lines_and_other_scripts_stay() -> None:
    assert shown("håndvæg\n\t手 ✋") == "håndvæg\n\t手 ✋"


@pytest.mark.parametrize("colours", [False, True])
def test_texts_tables_and_progress_show_markup_as_text_and_control_characters_as_signs(colours: bool) -> None:
    file = io.StringIO()
    console = Terminal(file=file, force_terminal=colours, width=300)
    table = Table("name")
    table.add_row(EVIL)
    console.print(EVIL)
    console.print(Text.assemble((EVIL, "bold"), EVIL))
    console.print(table)
    with Progress(TextColumn("{task.description}", markup=False), console=console) as progress:
        progress.add_task(EVIL)
        progress.refresh()
    written = re.sub(r"\x1b\[[?0-9;]*[A-Za-z]", "", file.getvalue())  # rich's own colours
    assert written.count("a[/x][bold]␛]8;;http://evillink␛[2J") >= 5
    assert "[link=http://evil]b" in written
    assert not OBEYED & set(written.replace("\r", ""))


def test_lines_and_log_records_are_shown(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    root = logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    tell(EVIL)
    log_to_terminal()
    logging.getLogger("some.where").warning("it said %s", EVIL)
    told = capsys.readouterr().err
    assert told.count("␛[2J") == 2
    assert not OBEYED & set(told)


def test_nobody_writes_to_a_console_of_another_kind() -> None:
    root = Path(__file__).parents[3]
    found = [
        path
        for floor in ("hamba_core", "stages", "viewers", "pipeline")
        for path in (root / floor).rglob("*.py")
        if re.search(r"(?<![A-Za-z])Console\((?!Console)", path.read_text()) and path.name != "terminal.py"
    ]
    assert not found
