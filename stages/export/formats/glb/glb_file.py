"""Hands as a binary glTF file (GLB), for three.js, Blender, game engines and whatever else shows 3D.

The file's frame is glTF's: metres, right-handed, y up; the camera stands at the origin and looks along -z. Second 0 is
the first moment that was chosen. `docs/formats.md` has the layout.
"""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryFile

from stages.export.formats.glb.gltf_file import Animation, GltfFile
from stages.export.formats.glb.morphed import BYTES_A_VERTEX, add_morphed_hand
from stages.export.formats.glb.skinned import add_skinned_hand
from stages.export.rig import licence_of, linear_colours, name_of, recorded_hand_model, rigs_of
from stages.export.settings import ExportSettings
from stages.export.tracks import Selection


def export_glb(
    selection: Selection, folder: Path, settings: ExportSettings, on_progress: Callable[[float], None]
) -> list[Path]:
    """Write one file with all tracks, skinned, or with `settings.vertices` as morph targets.

    Raises HandModelError where a skin needs a hand model that is not to be had, OutputError where the file would be
    too large for the format, SourceError where there is nothing to write, or vertices are needed and there are none.
    """
    run, topology = selection.recording.run, selection.recording.topology
    if settings.vertices:
        selection.check_vertices(", or leave --vertices out")
    model = None if settings.vertices else recorded_hand_model(run.hand_model, settings.hand_model)
    rigs = rigs_of(selection, one_shape=settings.one_shape and not settings.vertices)
    rows_in_all, done = sum(track.rows for track, _ in rigs), 0

    def count(rows: int) -> None:
        nonlocal done
        done += rows
        on_progress(done / rows_in_all)

    path = folder / f"{selection.recording.path.stem}.glb"
    with TemporaryFile(dir=folder, buffering=0) as spool:
        file = GltfFile(spool)
        if settings.vertices:
            file.check_room(sum(track.rows * track.vertices * BYTES_A_VERTEX for track in selection.tracks))
        animation = Animation(file)
        nodes: list[int] = []
        for (track, rig), colour in zip(rigs, linear_colours([track for track, _ in rigs]), strict=True):
            name = name_of(track)
            material = file.add(
                "materials",
                name=name,
                pbrMetallicRoughness={"baseColorFactor": [*colour, 1], "metallicFactor": 0, "roughnessFactor": 0.6},
                doubleSided=True,  # MANO's mesh is open at the wrist
            )
            if model:
                nodes += add_skinned_hand(file, animation, track, rig, selection, model, name, material, count)
            else:
                faces = topology.faces_of(track.side)
                nodes += add_morphed_hand(file, animation, track, rig, selection, faces, name, material, count)
        animation.save(selection.recording.path.stem)
        scene = file.add("scenes", name=run.source.name, nodes=nodes)
        extras = {"source": run.source.name, "hand_model": run.hand_model, "start": selection.start}
        asset = {"version": "2.0", "generator": "hamba-stream", "extras": extras}
        if licence := licence_of(run.hand_model):
            asset["copyright"] = licence
        with path.open("wb") as whole:
            file.save(whole, asset=asset, scene=scene)
    return [path]
