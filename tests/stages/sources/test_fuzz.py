"""Damage at random: whatever is done to a file, its frames come, or an error that says what is wrong; never more.

The files are read in a process of their own, so that a crash in foreign code is a failed test and names its seed.
"""

import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

Fixture = Callable[..., Any]

CLIP = Path(str(files("stages") / "assets" / "two_hands.mp4"))


def mutated(data: bytes, seed: int) -> bytes:
    """The file with bytes changed, cut, moved, doubled or left out, as the seed says."""
    choose = random.Random(seed)
    result = bytearray(data)
    for _ in range(choose.choice((1, 1, 2, 5))):
        size = len(result)
        # Headers and indices stand at either end, and are the most fragile.
        where = choose.choice(
            (choose.randrange(size), choose.randrange(min(size, 1500)), size - 1 - choose.randrange(min(size, 4000)))
        )
        length = choose.choice((1, 4, 64, 1024, max(1, size // 10)))
        kind = choose.randrange(8)
        if kind <= 2:
            for _ in range(choose.choice((1, 3, 20, 200))):
                result[min(size - 1, where + choose.randrange(length))] ^= 1 << choose.randrange(8)
        elif kind == 3:
            del result[where:]
        elif kind == 4:
            del result[where : where + length]
        elif kind == 5:
            result[where : where + length] = choose.randbytes(length)
        elif kind == 6:
            other = choose.randrange(size)
            result[where:where] = result[other : other + length]
        else:
            result[where : where + length] = bytes([choose.choice((0, 0x7F, 0x80, 0xFF))]) * length
        if len(result) < 2:
            break
    return bytes(result)


def read_mutations(folder: Path, first: int, last: int, names: list[str]) -> None:
    """What the process does: reads each mutation of each file and writes down what came of it."""
    from hamba_core.errors import SourceError
    from stages.sources import source_for

    for name in names:
        data = (folder / name).read_bytes()
        path = folder / f"mutated-{name}"
        for seed in range(first, last):
            path.write_bytes(mutated(data, seed))
            sys.stdout.write(f"{name} {seed} ")
            sys.stdout.flush()
            count = 0
            outcome = "whole"
            try:
                source = source_for(str(path))
                try:
                    source.open()
                    for frame in source.frames():
                        count += frame is not None
                finally:
                    source.choices()
                    source.close()
            except SourceError as error:
                outcome = type(error).__name__
            peak = peak_memory()
            sys.stdout.write(f"{outcome} {count} {peak}\n")


def peak_memory() -> int:
    """Most memory that this process ever had, MiB."""
    # Not getrusage's ru_maxrss, which a child inherits from the process that started it.
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def outcomes(folder: Path, first: int, last: int, *names: str, timeout: float = 110) -> Counter[str]:
    """How many mutations ended how. Fails where the process crashed, hung, raised anything else or ate the memory."""
    command = [sys.executable, "-X", "faulthandler", __file__, str(folder), str(first), str(last), *names]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
        output, status, errors = done.stdout, done.returncode, done.stderr
    except subprocess.TimeoutExpired as expired:
        output, status, errors = (expired.stdout or b"").decode(), -1, "it hung"
    lines = output.splitlines()
    assert (status, errors) == (0, ""), f"file and seed {lines[-1] if lines else '?'}: status {status}\n{errors}"
    assert len(lines) == len(names) * (last - first)
    peak = max(int(line.split()[4]) for line in lines)
    assert peak < 1500, f"{peak} MiB of memory"
    return Counter(line.split()[2] for line in lines)


def test_300_mutations_of_the_clip_never_crash_or_hang(beginning: Fixture, tmp_path: Path) -> None:
    counts = outcomes(tmp_path, 0, 300, beginning(tmp_path / "clip.mp4", 30).name)
    assert counts["SourceError"] > 0
    assert counts["BrokenSourceError"] > 0


@pytest.mark.slow
@pytest.mark.timeout(1100)
def test_300_mutations_of_the_whole_clip_never_crash_or_hang(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").write_bytes(CLIP.read_bytes())
    counts = outcomes(tmp_path, 0, 300, "clip.mp4", timeout=1000)
    assert counts["whole"] > 0


def test_mutated_pictures_never_crash_or_hang(make_picture: Fixture, tmp_path: Path) -> None:
    import cv2

    names = [f"hand.{suffix}" for suffix in ("jpg", "png", "webp", "tiff", "bmp", "avif", "jp2", "gif")]
    for name in names:
        (tmp_path / name).write_bytes(bytes(cv2.imencode(Path(name).suffix, make_picture())[1]))
    counts = outcomes(tmp_path, 0, 100, *names)
    assert counts["SourceError"] > 0
    assert counts["whole"] > 0


FORMATS = {
    "clip.mkv": ("libx264", "yuv420p"),
    "clip.ts": ("libx264", "yuv420p"),
    "clip.flv": ("libx264", "yuv420p"),
    "clip.webm": ("libvpx-vp9", "yuv420p"),
    "clip.avi": ("mjpeg", "yuvj420p"),
    "hevc.mp4": ("libx265", "yuv420p10le"),
    "av1.mp4": ("libsvtav1", "yuv420p"),
    "prores.mov": ("prores_ks", "yuv422p10le"),
    "mpeg4.avi": ("mpeg4", "yuv420p"),
    "ffv1.mkv": ("ffv1", "yuv420p"),
    "qtrle.mov": ("qtrle", "argb"),
}


@pytest.mark.slow
@pytest.mark.timeout(1100)
@pytest.mark.parametrize("name", FORMATS)
def test_mutations_of_every_format_never_crash_or_hang(make_video: Fixture, tmp_path: Path, name: str) -> None:
    codec, pixel_format = FORMATS[name]
    quiet = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    make_video(tmp_path / name, 30, codec=codec, pixel_format=pixel_format, options=quiet)
    assert sum(outcomes(tmp_path, 0, 1000, name, timeout=1000).values()) == 1000


if __name__ == "__main__":
    read_mutations(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4:])
