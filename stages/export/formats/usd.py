"""Hands as USD, for Houdini, Omniverse, Maya, Blender and usdview: the recorded meshes, a time sample a frame.

The file's frame is that of the other scene files: metres, right-handed, y up; the camera stands at the origin and looks
along -z. A time code is a frame at the take's rate, from 0 on. `docs/formats.md` has the layout.
"""

import re
from collections.abc import Callable
from math import inf
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import OutputError
from hamba_core.hand import JOINT_NAMES, vertex_normals
from hamba_core.packages import needed_for
from stages.export.rig import R_FILE_CAMERA, Rig, licence_of, linear_colours, name_of, rigs_of, spans_of
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection, Track

_JOINT_WIDTH: Final = 0.008  # m


def export_usd(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one file with all tracks.

    Raises DependencyError where usd-core is not installed, SourceError where the recording lacks vertices, OutputError
    where the file cannot be written.
    """
    with needed_for("USD files"):
        from pxr import Tf
    selection.check_vertices()
    path = folder / f"{selection.recording.path.stem}.usdc"
    try:
        _write(path, selection, on_progress)
    except Tf.ErrorException as error:
        raise OutputError(
            f"{path}: expected to be able to write, found: {error}; check the disk, or name another folder"
        ) from error
    return [path]


def _write(path: Path, selection: Selection, on_progress: Callable[[float], None]) -> None:
    stage = _new_stage(path, selection)
    rigs = rigs_of(selection)
    rows_in_all, done = sum(track.rows for track, _ in rigs), 0
    for (track, rig), colour in zip(rigs, linear_colours([track for track, _ in rigs]), strict=True):
        hand = _Hand(stage, track, rig, selection, colour)
        for rows, vertices in track.blocks():
            hand.write(rows, vertices)
            stage.Save()  # what is saved leaves memory
            done += len(rows)
            on_progress(done / rows_in_all)


def _new_stage(path: Path, selection: Selection) -> Any:
    from pxr import Usd, UsdGeom

    run = selection.recording.run
    stage = Usd.Stage.CreateNew(str(path))
    UsdGeom.SetStageUpAxis(stage, UsdGeom.Tokens.y)
    UsdGeom.SetStageMetersPerUnit(stage, 1)
    stage.SetFramesPerSecond(selection.rate)
    stage.SetTimeCodesPerSecond(selection.rate)
    stage.SetStartTimeCode(0)
    stage.SetEndTimeCode(round((selection.end - selection.start) * selection.rate))
    stage.SetMetadata("comment", licence_of(run.hand_model) or "")
    about = {"source": run.source.name, "hand_model": run.hand_model, "start": selection.start}
    stage.SetMetadata("customLayerData", about)
    stage.SetDefaultPrim(UsdGeom.Xform.Define(stage, "/hands").GetPrim())
    return stage


class _Hand:
    """A track's prims: its mesh, and its joints as points, which are guides: viewers show them when asked."""

    def __init__(self, stage: Any, track: Track, rig: Rig, selection: Selection, colour: list[float]) -> None:
        from pxr import Sdf, UsdGeom, Vt

        self._take = selection
        self._faces = selection.recording.topology.faces_of(track.side)
        name = re.sub(r"\W|^(?=\d)", "_", name_of(track), flags=re.ASCII)  # an identifier, as USD asks
        place = f"/hands/{name}"
        hand = UsdGeom.Xform.Define(stage, place)
        visibility = hand.CreateVisibilityAttr()
        visibility.Set(UsdGeom.Tokens.invisible, 0)
        for comes, goes in spans_of(rig, selection):
            visibility.Set(UsdGeom.Tokens.inherited, self._code(comes))
            if goes < inf:
                visibility.Set(UsdGeom.Tokens.invisible, self._code(goes))
        mesh = UsdGeom.Mesh.Define(stage, f"{place}/{name}_mesh")
        mesh.CreateFaceVertexCountsAttr(Vt.IntArray(len(self._faces), 3))
        mesh.CreateFaceVertexIndicesAttr(Vt.IntArray.FromNumpy(self._faces.astype(np.int32).ravel()))
        mesh.CreateSubdivisionSchemeAttr(UsdGeom.Tokens.none)
        mesh.CreateDoubleSidedAttr(True)  # MANO's mesh is open at the wrist
        mesh.CreateDisplayColorAttr([tuple(colour)])
        mesh.SetNormalsInterpolation(UsdGeom.Tokens.vertex)
        joints = UsdGeom.Points.Define(stage, f"{place}/{name}_joints")
        joints.CreatePurposeAttr(UsdGeom.Tokens.guide)
        joints.CreateWidthsAttr([_JOINT_WIDTH])
        joints.SetWidthsInterpolation(UsdGeom.Tokens.constant)
        names = joints.GetPrim().CreateAttribute("names", Sdf.ValueTypeNames.TokenArray, True, Sdf.VariabilityUniform)
        names.Set(JOINT_NAMES)
        self._mesh, self._joints = mesh, joints

    def write(self, rows: NDArray[Any], vertices: NDArray[np.float32]) -> None:
        """Write samples for those of these rows (N,) and vertices (N, V, 3) in which the hand is there."""
        from pxr import Vt

        there = rows["valid"]
        points = vertices[there] @ R_FILE_CAMERA
        normals = vertex_normals(points, self._faces)
        extents = np.stack([points.min(1), points.max(1)], 1)
        for pts, *arrays in zip(
            rows["pts"][there], points, normals, extents, rows["joints"][there] @ R_FILE_CAMERA, strict=True
        ):
            code = self._code(pts - self._take.start)
            attributes = (
                self._mesh.GetPointsAttr(),
                self._mesh.GetNormalsAttr(),
                self._mesh.GetExtentAttr(),
                self._joints.GetPointsAttr(),
            )
            for attribute, array in zip(attributes, arrays, strict=True):
                attribute.Set(Vt.Vec3fArray.FromNumpy(array.astype(np.float32)), code)

    def _code(self, seconds: float) -> float:
        """Return a time as a rounded code, so that a frame's is a whole number where frames come at a fixed rate."""
        return round(float(seconds) * self._take.rate, 3)
