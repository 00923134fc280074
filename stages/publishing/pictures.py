"""Pictures as they are published: JPEG, no wider than asked for."""

from typing import TYPE_CHECKING, Final

import numpy as np

from hamba_core.errors import OutputError

if TYPE_CHECKING:
    from stages.packets import Image

_QUALITY: Final = 80


def to_jpeg(image: "Image", width: int) -> bytes:
    """Return a picture (H, W, 3) RGB as JPEG, made smaller where it is wider than `width` px."""
    import cv2

    if image.shape[1] > width:
        height = max(1, round(image.shape[0] * width / image.shape[1]))
        image = np.asarray(cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
    done, data = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
    if not done:
        raise OutputError(f"cannot encode a picture of {image.shape[1]}x{image.shape[0]} as JPEG")
    return data.tobytes()
