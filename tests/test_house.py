"""The house keeps its rules: imports point down, no room is in a circle, and every room is entered by its door.

A room is a file or a folder. The door of a folder is its `__init__`; where that has a stub (`__init__.pyi`), the names
in the stub are what others may use.
"""

import ast
from collections import defaultdict
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FLOORS = ("hamba_core", "stages", "viewers", "pipeline")
"""From the ground up: each may import what stands before it."""


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_name(path): path for floor in FLOORS for path in (ROOT / floor).rglob("*.py")}
DOORS = sorted(module_name(path.with_suffix(".py")) for floor in FLOORS for path in (ROOT / floor).rglob("*.pyi"))


def imports_of(path: Path) -> Iterator[str]:
    """Our modules that a file imports, anywhere in it, by their full names."""
    for node in ast.walk(ast.parse(path.read_text())):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name for name in inner if name in FILES] or [node.module]
        yield from (name for name in names if name.partition(".")[0] in FLOORS)


IMPORTS = {module: set(imports_of(path)) for module, path in FILES.items()}


def is_in(module: str, room: str) -> bool:
    return module == room or module.startswith(f"{room}.")


def is_made(module: str) -> bool:
    """Whether it belongs to scripts that made shipped data."""
    return "make" in module.split(".")


def test_there_are_rooms_and_doors_to_look_at() -> None:
    assert len(FILES) > 200
    assert {"hamba_core.hand", "stages.reconstruction", "pipeline.runtime"} <= set(DOORS)


@pytest.mark.parametrize("floor", FLOORS)
def test_imports_point_down(floor: str) -> None:
    below = FLOORS[: FLOORS.index(floor) + 1]
    for module in FILES:
        if is_in(module, floor):
            above = [name for name in IMPORTS[module] if name.partition(".")[0] not in below]
            assert not above, f"{module} imports {above}, which stands on a higher floor"


FOLDERS = [module for module, path in FILES.items() if path.name == "__init__.py"]


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_rooms_of_a_folder_are_in_no_circle(folder: str) -> None:
    graph: dict[str, set[str]] = defaultdict(set)
    for module, imported in IMPORTS.items():
        if not module.startswith(f"{folder}."):
            continue
        room = module.removeprefix(f"{folder}.").partition(".")[0]
        others = {
            name.removeprefix(f"{folder}.").partition(".")[0] for name in imported if name.startswith(f"{folder}.")
        }
        graph[room] |= others - {room}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"{folder}: {' -> '.join(error.args[1])}")


def test_nothing_imports_the_commands() -> None:
    for module, imported in IMPORTS.items():
        if not is_in(module, "pipeline.commands"):
            assert not [name for name in imported if is_in(name, "pipeline.commands")], module


def test_the_product_does_not_import_the_scripts_that_made_its_data() -> None:
    for module, imported in IMPORTS.items():
        if not is_made(module):
            assert not [name for name in imported if is_made(name)], module


@pytest.mark.parametrize("room", [door for door in DOORS if door not in FLOORS])
def test_a_room_is_entered_by_its_door(room: str) -> None:
    doors_inside = [door for door in DOORS if door.startswith(f"{room}.")]
    for module, imported in IMPORTS.items():
        if is_in(module, room) or is_made(module):
            continue
        past = [name for name in imported if name.startswith(f"{room}.") and name not in doors_inside]
        assert not past, f"{module} imports {past}; what others may use stands in the stub of {room}"


@pytest.mark.parametrize("room", DOORS)
def test_every_name_at_a_door_is_there(room: str) -> None:
    door = import_module(room)
    for name in door.__all__:
        assert getattr(door, name) is not None
        assert name in dir(door)
        assert f"{room}.{name}" not in FILES, f"{name} is a file's name too, and importing the file would hide it"
    with pytest.raises(AttributeError, match="absent"):
        door.absent  # noqa: B018
