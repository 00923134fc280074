"""What README and docs name is there: links, commands with their options, settings and files."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
import typer.main

from pipeline import load_settings
from pipeline.commands.cli import app
from pipeline.commands.settings import settings_in

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^ *```.*?^ *```", re.DOTALL | re.MULTILINE)
CODE = re.compile(r"`([^`]+)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """A page without its blocks of code."""
    return FENCE.sub("", page.read_text())


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_files_and_headings(page: Path) -> None:
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if re.match(r"https?:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


def command_of(words: list[str]) -> tuple[Any, list[str]]:
    """Return the command of `hamba` that these words name, and the words that are left for it."""
    command: Any = typer.main.get_command(app)
    while words and hasattr(command, "commands"):
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    return command, words


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_in_blocks_are_ones_that_hamba_understands(page: Path) -> None:
    lines = [line.strip() for block in FENCE.findall(page.read_text()) for line in block.splitlines()]
    parts = [part for line in lines for part in line.partition(" #")[0].split("; ") if part.startswith("hamba ")]
    for line in parts:
        command, words = command_of([word for word in shlex.split(line)[1:] if word != "&"])
        try:
            if words:
                command.make_context(command.name, words)
        except typer.TyperException as error:
            pytest.fail(f"{line}: {error.format_message()}")


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_between_words_have_the_options_that_are_named(page: Path) -> None:
    for code in CODE.findall(prose(page)):
        if re.match(r"hamba [a-z]", code):
            command, words = command_of(code.split()[1:])
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            assert {word for word in words if word.startswith("--")} <= known, code


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_settings_that_are_named_are_there(page: Path) -> None:
    keys = {setting.key for setting in settings_in(load_settings("offline"))}
    groups = {key.rpartition(".")[0] for key in keys} | {key.partition(".")[0] for key in keys}
    stages = "|".join({key.partition(".")[0] for key in keys if "." in key})
    for key in re.findall(rf"(?:--set |`)((?:{stages})\.[a-z_.]+[a-z_])(?=[=`])", page.read_text()):
        assert key in keys | groups, key


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_and_modules_that_are_named_are_there(page: Path) -> None:
    text = page.read_text()
    for path in re.findall(r"`((?:hamba_core|stages|viewers|pipeline|configs|tests|docs)/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path
    for module in re.findall(r"python -m ((?:hamba_core|stages|viewers|pipeline|tests)[\w.]+)", text):
        path = ROOT / module.replace(".", "/")
        assert path.is_dir() or path.with_suffix(".py").exists(), module
