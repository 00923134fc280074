"""`hamba settings`: everything that can be set, made from the settings models themselves."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin

import typer
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from hamba_core.errors import ConfigurationError


class Setting(NamedTuple):
    """One setting."""

    key: str  # as --set takes it: "detect.max_hands"
    kind: str  # "whole number", "number, 0 to 1", "one of a, b"
    default: Any
    help: str


def settings(
    search: Annotated[
        list[str] | None, typer.Argument(help="Show only settings that contain these words.", show_default=False)
    ] = None,
    preset: Annotated[str, typer.Option(help="Show this preset's values: offline, live, or a YAML file.")] = "offline",
    yaml: Annotated[bool, typer.Option("--yaml", help="Write a commented preset to standard output.")] = False,
) -> None:
    """List every setting: its key, type and range, its value in a preset, and its purpose."""
    from pipeline.settings import load_settings

    found = [setting for setting in settings_in(load_settings(preset)) if _matches(setting, search or [])]
    if not found:
        raise ConfigurationError(
            f"settings: expected words that stand in a setting's key, type or help, found {' '.join(search or [])!r} "
            "in none; `hamba settings` lists them all"
        )
    if yaml:
        sys.stdout.write("".join(f"{line}\n" for line in _yaml_lines(found)))
    else:
        _print_table(found)


def settings_in(model: BaseModel, above: str = "") -> Iterator[Setting]:
    """Return every setting of a settings object, in order, with its value there."""
    for name, field in type(model).model_fields.items():
        value = getattr(model, name)
        if isinstance(value, BaseModel):
            yield from settings_in(value, f"{above}{name}.")
        else:
            yield Setting(f"{above}{name}", kind_of(field), value, field.description or "")


def kind_of(field: FieldInfo) -> str:
    """Return a field's type and range in words."""
    words = [_type_words(field.annotation)]
    limits = {type(limit).__name__: limit for limit in field.metadata}
    bounds = [
        text
        for kind, text in (
            ("Ge", f"at least {getattr(limits.get('Ge'), 'ge', '')}"),
            ("Gt", f"more than {getattr(limits.get('Gt'), 'gt', '')}"),
            ("Le", f"at most {getattr(limits.get('Le'), 'le', '')}"),
            ("Lt", f"less than {getattr(limits.get('Lt'), 'lt', '')}"),
        )
        if kind in limits
    ]
    return ", ".join([*words, *bounds])


def _type_words(annotation: Any) -> str:
    if get_origin(annotation) is Annotated:
        return _type_words(get_args(annotation)[0])
    if get_origin(annotation) is Literal:
        return "one of " + ", ".join(str(choice) for choice in get_args(annotation))
    if get_origin(annotation) in (Union, UnionType):
        parts = [_type_words(part) for part in get_args(annotation) if part is not type(None)]
        none = ["or none"] if type(None) in get_args(annotation) else []
        return " ".join([" or ".join(parts), *none])
    if get_origin(annotation) in (tuple, list):
        return "a list"
    words = {bool: "true or false", int: "whole number", float: "number", str: "text", Path: "path"}
    return words.get(annotation, getattr(annotation, "__name__", str(annotation)))


def _matches(setting: Setting, words: list[str]) -> bool:
    text = f"{setting.key} {setting.help} {setting.kind}".lower()
    return all(word.lower() in text for word in words)


def _print_table(found: list[Setting]) -> None:
    from rich.table import Table
    from rich.text import Text

    from stages.common.terminal import Terminal

    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("setting", no_wrap=True)  # to be found and copied
    for name in ("value", "type", "what it is for"):
        table.add_column(name, overflow="fold")
    for setting in found:
        texts = (_value_text(setting.default), setting.kind, setting.help)
        table.add_row(Text(setting.key, "bold"), *texts)
    console = Terminal(highlight=False)
    console.print(table)
    console.print("\nSet one with --set KEY=VALUE, or all of a kind in a YAML file: hamba settings --yaml", style="dim")


def _value_text(value: Any) -> str:
    """Return a value as YAML writes it."""
    import yaml

    plain = str(value) if isinstance(value, Path) else value
    return yaml.safe_dump([plain], default_flow_style=True, width=1000, allow_unicode=True).strip()[1:-1]


def _yaml_lines(found: list[Setting]) -> Iterator[str]:
    yield "# A preset of hamba-stream. Use it with: hamba run SOURCE --preset THIS_FILE"
    yield "# What you leave out has the value that stands here."
    open_groups: list[str] = []
    for setting in found:
        *groups, name = setting.key.split(".")
        for depth, group in enumerate(groups):
            if open_groups[depth : depth + 1] != [group]:
                open_groups = [*open_groups[:depth], group]
                yield f"{'  ' * depth}{group}:"
        open_groups = open_groups[: len(groups)]
        indent = "  " * len(groups)
        yield f"{indent}# {setting.help} ({setting.kind})" if setting.help else f"{indent}# ({setting.kind})"
        yield f"{indent}{name}: {_value_text(setting.default)}"
