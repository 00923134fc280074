"""The files of docs/deploy say what is true: their commands parse, their packages are the Makefile's."""

import os
import re
import shlex
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer.main
import yaml

from pipeline.commands.cli import app

ROOT = Path(__file__).parents[1]
DEPLOY = ROOT / "docs" / "deploy"
DOCKERFILES = sorted(DEPLOY.glob("Dockerfile.*"))


def commands() -> Iterator[list[str]]:
    for service in yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"].values():
        yield service["command"]
    yield shlex.split(yaml.safe_load((DEPLOY / "kuberay.yaml").read_text())["spec"]["entrypoint"])[1:]
    for line in (DEPLOY / "hamba.service").read_text().splitlines():
        if line.startswith("ExecStart="):
            yield shlex.split(line.partition("=")[2])[1:]


@pytest.mark.parametrize("command", list(commands()), ids=lambda command: command[0])
def test_every_command_is_one_that_hamba_understands(command: list[str]) -> None:
    group = typer.main.get_command(app)
    name, *arguments = command
    context = group.make_context("hamba", [name])
    understood = group.get_command(context, name)  # type: ignore[attr-defined]
    assert understood is not None
    understood.make_context(name, arguments, parent=context)  # which raises what the person would be told


@pytest.mark.parametrize("path", DOCKERFILES, ids=lambda path: path.name)
def test_an_image_has_the_system_packages_and_extras_that_there_are(path: Path) -> None:
    text = path.read_text()
    (listed,) = re.findall(r"^DEBIAN := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(listed.split()) <= set(text.split())
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    (wanted,) = re.findall(r"hamba-stream\[([\w,]+)\]", text)
    assert set(wanted.split(",")) <= set(extras)


def test_what_git_ignores_is_not_copied_into_an_image() -> None:
    def names(path: Path) -> set[str]:
        lines = (line for line in path.read_text().splitlines() if line and not line.startswith("#"))
        return {line.removeprefix("**/").strip("/") for line in lines}

    assert names(ROOT / ".dockerignore") == names(ROOT / ".gitignore") | {".git"}


def test_the_cluster_has_the_ray_of_the_image() -> None:
    cluster = yaml.safe_load((DEPLOY / "kuberay.yaml").read_text())["spec"]["rayClusterSpec"]
    assert f"ray=={cluster['rayVersion']}" in (ROOT / "constraints.txt").read_text().splitlines()
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    images = {container["image"] for group in groups for container in group["template"]["spec"]["containers"]}
    assert images == {"hamba-stream:cuda"}
    assert {"wget", "'ray[default]'"} <= set((DEPLOY / "Dockerfile.cuda").read_text().split())


def test_the_compose_file_builds_from_files_that_are_there() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]
    build = services["publisher"]["build"]
    assert (DEPLOY / build["context"] / build["dockerfile"]).is_file()
    volumes = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["volumes"]
    named = {volume.partition(":")[0] for service in services.values() for volume in service["volumes"]}
    assert {name for name in named if not name.startswith(".")} == set(volumes)


def test_a_recorder_that_is_restarted_overwrites_nothing(tmp_path: Path) -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text())["services"]["recorder"]
    stand_in = tmp_path / "hamba"
    stand_in.write_text('#!/bin/sh\necho "$@"\n')
    stand_in.chmod(0o755)
    words = [word.replace("$$", "$") for word in (*service["entrypoint"], *service["command"])]  # as Compose does
    path = f"{tmp_path}{os.pathsep}{os.environ['PATH']}"
    said = subprocess.run(words, env={"PATH": path}, capture_output=True, text=True, check=True).stdout
    assert re.fullmatch(r"record ipc:///run/hamba/hands --out /results/\d{8}-\d{6}\n", said)


def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    systemd = shutil.which("systemd-analyze")
    if systemd is None:
        pytest.skip("systemd-analyze is not installed")
    # The program of the unit is not installed here; any other stands for it.
    unit = tmp_path / "hamba.service"
    unit.write_text((DEPLOY / "hamba.service").read_text().replace("/opt/hamba/bin/hamba", "/bin/true"))
    done = subprocess.run([systemd, "verify", str(unit)], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
