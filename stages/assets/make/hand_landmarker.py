"""Make `hand_landmarker.task`, the model file of MediaPipe's Hand Landmarker, from a MediaPipe wheel.

    python -m stages.assets.make.hand_landmarker mediapipe-0.10.21-cp311-cp311-manylinux_2_28_x86_64.whl

MediaPipe up to 0.10.21 carried the two networks in its wheels; later wheels carry none. A task file is a zip archive of
both, stored without compression and aligned, so that they are used where they lie in a mapped file. The same wheel
gives the same bytes.
"""

import argparse
import hashlib
import struct
import zipfile
from pathlib import Path
from typing import Final, NamedTuple

from hamba_core.errors import HambaError, SourceError
from stages.assets import HAND_LANDMARKER

_ALIGNMENT: Final = 64  # bytes; TensorFlow Lite copies tensors that are not aligned, and warns
_LOCAL_HEADER_SIZE: Final = 30  # bytes, without the name
_EXTRA_HEADER: Final = struct.Struct("<HH")  # identifier, length
_PADDING_ID: Final = 0xD935  # the extra field that Android's zipalign pads with


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


def make_task_file(wheel: Path, task_file: Path = HAND_LANDMARKER) -> None:
    """Write the task file. Raises SourceError where the wheel does not hold exactly the networks expected."""
    networks = [(network.entry, _read_network(wheel, network)) for network in _NETWORKS]
    with zipfile.ZipFile(task_file, "w", zipfile.ZIP_STORED) as archive:
        for entry, content in networks:
            archive.writestr(_aligned_entry(entry, archive.start_dir), content)


def _aligned_entry(name: str, offset: int) -> zipfile.ZipInfo:
    """Return an entry whose local header starts at this offset and whose content is aligned to _ALIGNMENT."""
    entry = zipfile.ZipInfo(name)  # made by name, it has a fixed date
    entry.create_system = 3  # Unix, wherever it is made
    content_offset = offset + _LOCAL_HEADER_SIZE + len(name) + _EXTRA_HEADER.size
    padding = -content_offset % _ALIGNMENT
    entry.extra = _EXTRA_HEADER.pack(_PADDING_ID, padding) + bytes(padding)
    return entry


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
