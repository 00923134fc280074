"""The readers in docs/clients.md, compiled, on the conformance vectors."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

ROOT = Path(__file__).parents[2]
VECTORS = ROOT / "tests/stages/wire/vectors"
PRINT = """
public static class Program
{
    public static int Main(string[] arguments)
    {
        System.Globalization.CultureInfo.CurrentCulture = System.Globalization.CultureInfo.InvariantCulture;
        try
        {
            foreach (Hand hand in Hands.Decode(System.IO.File.ReadAllBytes(arguments[0])))
            {
                float[] vertices = hand.Vertices ?? new float[0];
                System.Console.WriteLine(hand.Id + " " + hand.Side + " " + vertices.Length / 3
                    + " " + string.Join(" ", hand.Joints) + " " + string.Join(" ", vertices));
            }
            return 0;
        }
        catch (System.Exception error) { System.Console.Error.WriteLine("error: " + error.Message); return 1; }
    }
}
"""

Reader = Callable[[Path], "subprocess.CompletedProcess[str]"]


def snippet(language: str) -> str:
    """The first code block of this language."""
    found = re.search(rf"```{language}\n(.*?)```", (ROOT / "docs/clients.md").read_text(), re.DOTALL)
    assert found is not None
    return found.group(1)


def build(command: list[str], needs: str) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if "No such file or directory" in done.stderr:
        pytest.skip(f"needs {needs}: {done.stderr.splitlines()[0]}")
    assert done.returncode == 0, done.stderr + done.stdout


@pytest.fixture(scope="module", params=["cpp", "csharp"])
def reader(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """Runs the compiled snippet on a file."""
    folder = tmp_path_factory.mktemp(request.param)
    if request.param == "cpp":
        if shutil.which("g++") is None:
            pytest.skip("needs a C++ compiler (apt-get install g++ cppzmq-dev libmsgpack-cxx-dev)")
        (folder / "hands.cpp").write_text(snippet("cpp"))
        command = [str(folder / "hands")]
        build(
            ["g++", "-std=c++17", str(folder / "hands.cpp"), "-o", command[0], "-lzmq"], "cppzmq-dev libmsgpack-cxx-dev"
        )
    else:
        if shutil.which("mcs") is None or shutil.which("mono") is None:
            pytest.skip("needs a C# compiler (apt-get install mono-mcs mono-runtime)")
        (folder / "Hands.cs").write_text(snippet("csharp"))
        (folder / "Program.cs").write_text(PRINT)
        command = ["mono", str(folder / "hands.exe")]
        build(["mcs", f"-out:{command[1]}", str(folder / "Hands.cs"), str(folder / "Program.cs")], "mono-mcs")

    def run(path: Path) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=30)

    return run


def printed(hand: dict[str, Any]) -> list[float]:
    vertices = hand.get("vertices", {"values": []})["values"]
    return [hand["id"], len(vertices) // 3, *hand["joints"]["values"], *vertices]


@pytest.mark.parametrize("name", sorted(path.stem for path in VECTORS.glob("hands*.bin")))
def test_it_reads_what_the_vectors_say(reader: Reader, name: str) -> None:
    done = reader(VECTORS / f"{name}.bin")
    assert done.returncode == 0, done.stderr
    expected = json.loads((VECTORS / f"{name}.json").read_text())["map"]["hands"]
    lines = [line.split() for line in done.stdout.splitlines()]
    assert [line[1] for line in lines] == [hand["side"] for hand in expected]
    for line, hand in zip(lines, expected, strict=True):
        numbers = [float(word) for word in (line[0], *line[2:])]
        np.testing.assert_allclose(numbers, printed(hand), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["huge", "length", "no_nul", "topic", "type", "version", "nan"])
def test_it_refuses_what_would_be_misread(reader: Reader, name: str) -> None:
    done = reader(VECTORS / f"refuse_{name}.bin")
    assert done.returncode == 1
    assert "error: " in done.stderr
