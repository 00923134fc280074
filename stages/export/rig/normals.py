"""The directions in which meshes face."""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array


def vertex_normals(vertices: NDArray[np.floating], faces: NDArray[np.integer]) -> NDArray[np.float64]:
    """Unit normals (N, V, 3) of meshes (N, V, 3) with the same faces (F, 3), which count by their area.

    A vertex in no face, or in faces without area, gets +z.
    """
    points = np.ascontiguousarray(vertices.transpose(1, 2, 0), np.float64)  # (V, 3, N): long runs in memory
    (ax, ay, az), (bx, by, bz) = (
        (points[faces[:, i]] - points[faces[:, 0]]).transpose(1, 0, 2) for i in (1, 2)
    )  # fmt: skip
    crossed = np.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], 1)
    corners = (np.ones(faces.size), (faces.ravel(), np.repeat(np.arange(len(faces)), 3)))
    meeting = csr_array(corners, shape=(len(points), len(faces)))
    total = (meeting @ crossed.reshape(len(faces), -1)).reshape(points.shape)
    length = np.sqrt((total * total).sum(1, keepdims=True))
    normals = np.divide(total, length, out=np.zeros_like(total), where=length > 0)
    normals[:, 2] += length[:, 0] == 0
    result: NDArray[np.float64] = normals.transpose(2, 0, 1)
    return result
