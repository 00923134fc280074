"""Make `foxglove_schemas.bin`: the Protobuf description of the Foxglove messages that recordings hold.

    python -m stages.assets.make.foxglove_schemas

It needs the package foxglove-schemas-protobuf (MIT licence; see NOTICE). A recording carries the
description, so that any program can read it; `stages.recording.foxglove` writes the messages themselves.
"""

from pathlib import Path
from typing import Final

SCHEMAS_FILE: Final = Path(__file__).parents[1] / "foxglove_schemas.bin"


def make_schemas() -> bytes:
    """Return a serialized FileDescriptorSet with everything these messages are made of, dependencies first."""
    from foxglove_schemas_protobuf import CameraCalibration_pb2, FrameTransform_pb2, SceneUpdate_pb2
    from google.protobuf.descriptor import FileDescriptor
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

    files: dict[str, FileDescriptor] = {}

    def add(file: FileDescriptor) -> None:
        for dependency in file.dependencies:
            add(dependency)
        files.setdefault(file.name, file)

    for module in (SceneUpdate_pb2, FrameTransform_pb2, CameraCalibration_pb2):
        add(module.DESCRIPTOR)
    schemas = FileDescriptorSet()
    for file in files.values():
        file.CopyToProto(schemas.file.add())
    return bytes(schemas.SerializeToString(deterministic=True))


if __name__ == "__main__":
    SCHEMAS_FILE.write_bytes(make_schemas())
