"""A file that tells where cameras stand that do not move: `T_world_camera` of one, or of several by their streams.

T_world_camera: [[1, 0, 0, 0.2], [0, 0, 1, -0.6], [0, -1, 0, 0.4], [0, 0, 0, 1]]

cameras:
  hands-1: {T_world_camera: [...]}
  hands-2: {T_world_camera: [...]}
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hamba_core.arrays import Array
from hamba_core.errors import PacketError, SourceError, error_reason
from hamba_core.untrusted import DocumentError, parse_yaml, read_text
from stages.packets import WorldPose


def read_pose(path: Path, stream: str) -> Array:
    """Return T_world_camera (4, 4) of this stream's camera. Raises SourceError."""
    try:
        tree = parse_yaml(read_text(path))
    except (OSError, DocumentError) as error:
        raise SourceError(f"{path}: expected YAML or JSON with T_world_camera, found: {error_reason(error)}") from error
    if isinstance(tree, Mapping) and isinstance(cameras := tree.get("cameras"), Mapping):
        if stream not in cameras:
            known = ", ".join(map(str, cameras)) or "none"
            raise SourceError(f"{path}: expected the camera of stream {stream!r} among cameras, found {known}")
        tree = cameras[stream]
    return _matrix(path, tree)


def _matrix(path: Path, tree: Any) -> Array:
    rows = tree.get("T_world_camera") if isinstance(tree, Mapping) else None
    try:
        T = np.array(rows, np.float64)
        WorldPose(T, "file")
    except (PacketError, ValueError, TypeError) as error:
        raise SourceError(
            f"{path}: expected T_world_camera, four rows of four numbers, a rotation and a place in metres above "
            f"(0, 0, 0, 1), found {str(rows)[:80]}"
        ) from error
    return T
