"""What a robot hand looks like: a mesh for each link, from its URDF.

Where a description names meshes that are not there (dexi-rs brings those of the Allegro hand, of the others their
kinematics only), a link looks like its boxes and cylinders, and like a rod to each joint that hangs on it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hamba_core.arrays import Array, Int64Array
from viewers.robots.retarget.kinematics import RobotModel, transform_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Mesh = tuple[Array, Int64Array]
"""Vertices (V, 3) m in the link's frame, and faces (F, 3)."""

_ROD: Final = 0.006  # m, its radius
_SIDES: Final = 10
_BOX_FACES: Final = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip


def link_meshes(model: RobotModel) -> dict[str, Mesh]:
    """Return the meshes of all links that have a shape."""
    from defusedxml.ElementTree import fromstring

    root = fromstring(model.path.read_text(encoding="utf-8"))
    meshes = {}
    for link in root.findall("link"):
        name = link.get("name", "")
        parts = _parts(link, "visual", model.path.parent) or _parts(link, "collision", model.path.parent)
        if not any(_has_mesh_file(element, model.path.parent) for element in link.findall("visual")):
            parts += _rods(model, name)
        if parts:
            meshes[name] = joined(parts)
    return meshes


def joined(parts: list[Mesh]) -> Mesh:
    """Return one mesh of several."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _ in parts[:-1])])
    return (
        np.concatenate([vertices for vertices, _ in parts]),
        np.concatenate([faces + start for (_, faces), start in zip(parts, starts, strict=True)]),
    )


def _parts(link: "Element", kind: str, folder: Path) -> list[Mesh]:
    parts = []
    for element in link.findall(kind):
        geometry = element.find("geometry")
        mesh = None if geometry is None else _geometry(geometry, folder)
        if mesh is not None:
            T = transform_of(element.find("origin"))
            parts.append((mesh[0] @ T[:3, :3].T + T[:3, 3], mesh[1]))
    return parts


def _geometry(geometry: "Element", folder: Path) -> Mesh | None:
    if (box := geometry.find("box")) is not None:
        return box_mesh(np.array([float(word) for word in box.get("size", "0 0 0").split()]))
    if (cylinder := geometry.find("cylinder")) is not None:
        radius, length = float(cylinder.get("radius", "0")), float(cylinder.get("length", "0"))
        return rod_mesh(np.array([0, 0, -length / 2]), np.array([0, 0, length / 2]), radius)
    if (sphere := geometry.find("sphere")) is not None:
        radius = float(sphere.get("radius", "0"))
        return rod_mesh(np.array([0, 0, -radius * 0.8]), np.array([0, 0, radius * 0.8]), radius * 0.9)
    mesh = geometry.find("mesh")
    path = None if mesh is None else _mesh_file(mesh, folder)
    if mesh is None or path is None:
        return None
    import trimesh

    loaded = trimesh.load_mesh(path, process=False)
    scale = np.array([float(word) for word in mesh.get("scale", "1 1 1").split()])
    return np.asarray(loaded.vertices, np.float64) * scale, np.asarray(loaded.faces, np.int64)


def _has_mesh_file(element: "Element", folder: Path) -> bool:
    mesh = element.find("geometry/mesh")
    return mesh is not None and _mesh_file(mesh, folder) is not None


def _mesh_file(mesh: "Element", folder: Path) -> Path | None:
    """Return the file of a mesh if it is there, in the description's folder or below: nowhere else is looked."""
    name = mesh.get("filename", "")
    if "://" in name:
        return None
    path = (folder / name).resolve()
    inside = path.is_relative_to(folder.resolve().parent)
    return path if inside and path.is_file() and path.suffix.lower() in (".obj", ".stl", ".glb", ".ply") else None


def _rods(model: RobotModel, link: str) -> list[Mesh]:
    """Return rods from a link to the joints that hang on it."""
    ends = [joint.T_parent_joint[:3, 3] for joint in model.joints if joint.parent == link]
    return [rod_mesh(np.zeros(3), end, _ROD) for end in ends if np.linalg.norm(end) > 1e-4]


def box_mesh(size: Array) -> Mesh:
    """Return a box (3,) m about the origin."""
    corners = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])
    return corners * size / 2, _BOX_FACES


def rod_mesh(start: Array, end: Array, radius: float) -> Mesh:
    """Return a closed cylinder from `start` to `end` (3,) m."""
    along = (end - start) / max(float(np.linalg.norm(end - start)), 1e-9)
    across = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    across /= np.linalg.norm(across)
    turns = np.linspace(0, 2 * np.pi, _SIDES, endpoint=False)[:, None]
    ring = radius * (np.cos(turns) * across + np.sin(turns) * np.cross(along, across))
    near, then = np.arange(_SIDES), (np.arange(_SIDES) + 1) % _SIDES
    first, last = np.full(_SIDES, 2 * _SIDES), np.full(_SIDES, 2 * _SIDES + 1)
    faces = np.concatenate(
        [
            np.stack([near, then, near + _SIDES], 1), np.stack([then, then + _SIDES, near + _SIDES], 1),
            np.stack([first, then, near], 1), np.stack([last, near + _SIDES, then + _SIDES], 1),
        ]
    )  # fmt: skip
    return np.concatenate([start + ring, end + ring, start[None], end[None]]), faces
