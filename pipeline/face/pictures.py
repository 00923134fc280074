"""Pictures as people have them: NumPy arrays, PIL pictures, file names."""

from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hamba_core.errors import PacketError, SourceError
from hamba_core.view import Intrinsics
from stages.packets import Image
from stages.sources import SourceSettings, source_for
from stages.sources.paths import exists, is_folder

if TYPE_CHECKING:
    from PIL.Image import Image as PILImage

    Picture = NDArray[Any] | PILImage | str | Path
    """An array (H, W, 3) of uint8, a PIL picture, or the name of a picture file."""


class Read(NamedTuple):
    """A picture in the form that stages take."""

    image: Image  # (H, W, 3) RGB
    camera: Intrinsics | None  # a file's, from which any distortion has been taken


def read_picture(picture: "Picture", settings: SourceSettings, *, bgr: bool) -> Read:
    """Return any picture as RGB. `bgr` says that an array's channels are in OpenCV's order.

    A file is read as `hamba run` reads it: turned upright, with the camera that its EXIF data tell. Raises SourceError
    for a file, PacketError for anything else that is no picture.
    """
    if isinstance(picture, str | Path):
        return _read_file(str(picture), settings)
    if isinstance(picture, np.ndarray):
        image = _checked(picture)
        # A copy, since a loop may write its next frame into the same array.
        return Read((image[:, :, ::-1] if bgr else image).copy(), None)
    if _is_pil(picture):
        from PIL import ImageOps

        upright = ImageOps.exif_transpose(picture)
        return Read(np.asarray(upright.convert("RGB")), None)
    raise PacketError(
        "picture: expected an array (H, W, 3) of uint8, a PIL picture or a file's name, "
        f"found {type(picture).__name__}; convert other pictures to an array of uint8"
    )


def _read_file(name: str, settings: SourceSettings) -> Read:
    source = source_for(name, settings)
    if source.live or not source.stills or is_folder(name) or not exists(name):
        raise SourceError(
            f"{name}: expected the name of one picture file; for videos, folders and cameras use track_hands"
        )
    try:
        source.open()
        for frame in source.frames():
            if frame is not None:
                return Read(frame.image, frame.meta.camera)
    finally:
        source.close()
    raise SourceError(f"{name}: expected a picture, found nothing in it")


def _checked(array: NDArray[Any]) -> Image:
    if array.dtype != np.uint8 or array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        advice = {
            "float": "; scale it to 0..255 and convert it with .astype(numpy.uint8)",
            "gray": "; give it three channels with numpy.repeat(picture[..., None], 3, axis=2)",
            "alpha": "; leave the alpha channel away with picture[..., :3]",
        }
        kind = "float" if array.dtype != np.uint8 else "gray" if array.ndim == 2 else "alpha"
        more = advice[kind] if kind != "alpha" or array.shape[-1:] == (4,) else ""
        raise PacketError(
            f"picture: expected an array (height, width, 3) of uint8, found {array.dtype} {array.shape}{more}"
        )
    return array


def _is_pil(picture: object) -> bool:
    """Return whether it is a PIL picture, without importing PIL for those who have none."""
    return any(kind.__module__ == "PIL.Image" and kind.__name__ == "Image" for kind in type(picture).__mro__)
