"""What a robot hand looks like: a mesh for each link, from its URDF.

Where a description names meshes that are not there (dexi-rs brings those of the Allegro hand, of the others their
kinematics only), a link looks like its boxes and cylinders, and like a rod to each joint that hangs on it.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from hamba_core.arrays import Array, Int64Array
from hamba_core.errors import ConfigurationError, first_line
from viewers.robots.retarget.kinematics import LARGEST_URDF, RobotModel, three_of, transform_of

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

Mesh = tuple[Array, Int64Array]
"""Vertices (V, 3) m in the link's frame, and faces (F, 3)."""

_ROD: Final = 0.006  # m, its radius
_SIDES: Final = 10
_LONGEST: Final = 1e6  # m, or of a mesh's own unit
_BOX_FACES: Final = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip


def link_meshes(model: RobotModel) -> dict[str, Mesh]:
    """Return the meshes of all links that have a shape. Raises ConfigurationError, which names a link without."""
    from defusedxml.ElementTree import fromstring

    root = fromstring(model.path.read_text(encoding="utf-8"))
    meshes = {}
    for link in root.findall("link"):
        name = link.get("name", "")
        try:
            parts = _parts(link, "visual", model.path.parent) or _parts(link, "collision", model.path.parent)
        except ValueError as error:
            raise ConfigurationError(f"{model.path}: expected the shapes of the link {name}, found: {error}") from error
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
        return box_mesh(three_of(box, "size", (0.0, 0.0, 0.0)))
    if (cylinder := geometry.find("cylinder")) is not None:
        radius, length = _length(cylinder, "radius"), _length(cylinder, "length")
        return rod_mesh(np.array([0, 0, -length / 2]), np.array([0, 0, length / 2]), radius)
    if (sphere := geometry.find("sphere")) is not None:
        radius = _length(sphere, "radius")
        return rod_mesh(np.array([0, 0, -radius * 0.8]), np.array([0, 0, radius * 0.8]), radius * 0.9)
    mesh = geometry.find("mesh")
    path = None if mesh is None else _mesh_file(mesh, folder)
    if mesh is None or path is None:
        return None
    vertices, faces = _loaded(path)
    return vertices * three_of(mesh, "scale", (1.0, 1.0, 1.0)), faces


def _length(element: "Element", attribute: str) -> float:
    """Return a length, m. Raises ValueError."""
    value = float(element.get(attribute, "0"))
    if not 0 <= value <= _LONGEST:
        raise ValueError(f"{attribute}={value}, where a length is expected")
    return value


def _loaded(path: Path) -> Mesh:
    """Return what is in the file of a mesh. Raises ValueError."""
    import trimesh

    if path.stat().st_size > LARGEST_URDF:
        raise ValueError(f"{path.name} of more than {LARGEST_URDF >> 20} MiB")
    try:
        loaded = trimesh.load_mesh(path, process=False)
        vertices, faces = np.asarray(loaded.vertices, np.float64), np.asarray(loaded.faces, np.int64)
    except Exception as error:  # whatever trimesh raises on damage
        raise ValueError(f"{path.name}, which is no mesh that trimesh reads ({first_line(error)})") from error
    if vertices.ndim != 2 or faces.ndim != 2 or vertices.shape[1] != 3 or faces.shape[1] != 3 or not len(faces):
        raise ValueError(f"{path.name}, which has no triangles")
    if not (np.abs(vertices) <= _LONGEST).all() or faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(f"{path.name}, whose triangles have no corners")
    return vertices, faces


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
    length = float(np.linalg.norm(end - start))
    along = (end - start) / length if length > 1e-9 else np.array([0.0, 0.0, 1.0])
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
