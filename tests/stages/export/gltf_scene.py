"""A GLB file as a reader of glTF sees it at a moment: where nodes and meshes are."""

from pathlib import Path
from typing import Any

import numpy as np
import pygltflib
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation, Slerp

from hamba_core.arrays import Array

_WIDTHS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


_DTYPES = {5121: np.uint8, 5125: np.uint32, 5126: np.float32}


class GltfScene:
    """What a viewer shows of a file at a moment."""

    def __init__(self, path: Path) -> None:
        self.document = pygltflib.GLTF2().load(str(path))
        self._blob = self.document.binary_blob()
        self.names = [node.name for node in self.document.nodes]
        self._samplers = {
            (channel.target.node, channel.target.path): animation.samplers[channel.sampler]
            for animation in self.document.animations
            for channel in animation.channels
        }
        self._parents = {child: i for i, node in enumerate(self.document.nodes) for child in node.children or []}

    def accessor(self, index: int) -> NDArray[Any]:
        """(N, width) numbers."""
        spec = self.document.accessors[index]
        view = self.document.bufferViews[spec.bufferView]
        width, start = _WIDTHS[spec.type], (view.byteOffset or 0) + (spec.byteOffset or 0)
        return np.frombuffer(self._blob, _DTYPES[spec.componentType], spec.count * width, start).reshape(-1, width)

    def node(self, name: str, under: str | None = None) -> int:
        """The node of this name, below the other one."""
        [found] = [i for i, n in enumerate(self.names) if n == name and (under is None or under in self._line(i))]
        return found

    def parent(self, node: int) -> int | None:
        """The node that this one hangs on."""
        return self._parents.get(node)

    def _line(self, node: int) -> list[str]:
        parent = self._parents.get(node)
        return [] if parent is None else [self.names[parent], *self._line(parent)]

    def animated(self, node: int, path: str, seconds: float) -> Array | None:
        """The value that the animation gives at this moment; none where it does not move that."""
        if (node, path) not in self._samplers:
            return None
        sampler = self._samplers[node, path]
        times, values = self.accessor(sampler.input)[:, 0].astype(float), self.accessor(sampler.output).astype(float)
        return _at(times, values.reshape(len(times), -1), seconds, path, sampler.interpolation)

    def world(self, node: int, seconds: float) -> Array:
        """(4, 4) from the node's own axes to the scene's."""
        spec, parts = self.document.nodes[node], {}
        for path, rest in (("translation", [0, 0, 0]), ("rotation", [0, 0, 0, 1]), ("scale", [1, 1, 1])):
            moved = self.animated(node, path, seconds)
            parts[path] = np.array(getattr(spec, path) or rest, float) if moved is None else moved
        own = np.eye(4)
        own[:3, :3] = Rotation.from_quat(parts["rotation"]).as_matrix() * parts["scale"]
        own[:3, 3] = parts["translation"]
        return self.world(self._parents[node], seconds) @ own if node in self._parents else own

    def mesh(self, node: int, seconds: float) -> tuple[Array, NDArray[Any]]:
        """Vertices (V, 3) in the scene and faces (F, 3) of the mesh that hangs on this node."""
        spec = self.document.nodes[node]
        [primitive] = self.document.meshes[spec.mesh].primitives
        attributes, faces = primitive.attributes, self.accessor(primitive.indices).reshape(-1, 3)
        vertices = self.accessor(attributes.POSITION).astype(float)
        weights = self.animated(node, "weights", seconds)
        for weight, target in zip(weights if weights is not None else [], primitive.targets or [], strict=True):
            vertices = vertices + weight * self.accessor(target["POSITION"])
        points = np.pad(vertices, ((0, 0), (0, 1)), constant_values=1)
        if spec.skin is None:
            return (points @ self.world(node, seconds).T)[:, :3], faces
        skin, moved = self.document.skins[spec.skin], np.zeros_like(vertices)
        binds = self.accessor(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        bones = np.array([self.world(joint, seconds) for joint in skin.joints]) @ binds
        for i in range(8):
            if joints := getattr(attributes, f"JOINTS_{i}", None):
                shares = self.accessor(getattr(attributes, f"WEIGHTS_{i}")).astype(float)
                for own, share in zip(self.accessor(joints).T, shares.T, strict=True):
                    moved += share[:, None] * np.einsum("vij,vj->vi", bones[own], points)[:, :3]
        return moved, faces


def _at(times: Array, values: Array, seconds: float, path: str, interpolation: str) -> Array:
    """Clamped to the first and the last key."""
    i = int(np.clip(np.searchsorted(times, seconds, "right") - 1, 0, len(times) - 1))
    if interpolation == "STEP" or i == len(times) - 1 or seconds <= times[0]:
        return np.asarray(values[i])
    share = (seconds - times[i]) / (times[i + 1] - times[i])
    if path == "rotation":
        return np.asarray(Slerp([0, 1], Rotation.from_quat(values[i : i + 2]))(share).as_quat())
    return np.asarray(values[i] + share * (values[i + 1] - values[i]))
