"""A missing package is an error that names what brings it."""

import tomllib
from pathlib import Path

import pytest

from hamba_core.errors import DependencyError
from hamba_core.packages import EXTRAS, needed_for

PYPROJECT = Path(__file__).parents[2] / "pyproject.toml"
DISTRIBUTIONS = {
    "pxr": "usd-core",
    "prometheus_client": "prometheus-client",
    "lightning_fabric": "lightning-fabric",
    "pythonosc": "python-osc",
    "dexi_rs": "dexi-rs",
}


def test_every_extra_brings_the_packages_that_it_is_said_to_bring() -> None:
    extras = tomllib.loads(PYPROJECT.read_text())["project"]["optional-dependencies"]
    for package, extra in EXTRAS.items():
        wanted = DISTRIBUTIONS.get(package, package)
        assert any(line.startswith((f"{wanted}>=", f"{wanted}[")) for line in extras[extra]), (package, extra)


@pytest.mark.parametrize("package", EXTRAS)
def test_the_error_names_who_needs_it_and_what_to_type(package: str) -> None:
    with (
        pytest.raises(DependencyError, match=rf"^that: .*{package}.*hamba-stream\[{EXTRAS[package]}\]"),
        needed_for("that"),
    ):
        raise ModuleNotFoundError(f"No module named '{package}.inner'", name=f"{package}.inner")


def test_other_failures_of_an_import_are_left_alone() -> None:
    with pytest.raises(ImportError, match="cannot import name 'x'"), needed_for("that"):
        raise ImportError("cannot import name 'x'", name="hamba_core")
