"""Make `hand_landmarker.task`, the model file of MediaPipe's Hand Landmarker, from a MediaPipe wheel.

    python -m stages.assets.make_hand_landmarker mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl

MediaPipe up to 0.10.21 carried the two networks in its wheels; later wheels carry none. A task file is a zip archive of
both, stored without compression. The same wheel gives the same bytes.
"""

import argparse
import hashlib
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

from hamba_core.errors import HambaError, SourceError

TASK_FILE: Final = Path(__file__).with_name("hand_landmarker.task")


class _Network(NamedTuple):
    entry: str  # its name in the task file, which MediaPipe asks for
    member: str  # its name in the wheel
    sha256: str


_NETWORKS: Final = (
    _Network(
        "hand_detector.tflite",
        "mediapipe/modules/palm_detection/palm_detection_full.tflite",
        "1b14e9422c6ad006cde6581a46c8b90dd573c07ab7f3934b5589e7cea3f89a54",
    ),
    _Network(
        "hand_landmarks_detector.tflite",
        "mediapipe/modules/hand_landmark/hand_landmark_full.tflite",
        "11c272b891e1a99ab034208e23937a8008388cf11ed2a9d776ed3d01d0ba00e3",
    ),
)


def make_task_file(wheel: Path, task_file: Path = TASK_FILE) -> None:
    """Write the task file. Raises SourceError where the wheel does not hold exactly the networks expected."""
    networks = [(network.entry, _read_network(wheel, network)) for network in _NETWORKS]
    with zipfile.ZipFile(task_file, "w", zipfile.ZIP_STORED) as archive:
        for entry, content in networks:
            # A ZipInfo made by name has a fixed date, so that the bytes depend on the content alone.
            archive.writestr(zipfile.ZipInfo(entry), content)


def _read_network(wheel: Path, network: _Network) -> bytes:
    advice = "give the wheel mediapipe-0.10.21 (python -m pip download --no-deps mediapipe==0.10.21)"
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(network.member)
    except (OSError, zipfile.BadZipFile, KeyError) as error:
        raise SourceError(f"{wheel}: expected a wheel that holds {network.member}, found {error}; {advice}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != network.sha256:
        raise SourceError(f"{wheel}: expected {network.member} with SHA-256 {network.sha256}, found {found}; {advice}")
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description="Make hand_landmarker.task from a MediaPipe wheel.")
    parser.add_argument("wheel", type=Path)
    try:
        make_task_file(parser.parse_args().wheel)
    except HambaError as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
