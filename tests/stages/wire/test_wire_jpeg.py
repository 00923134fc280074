"""A picture on the wire says its size before anybody decodes it."""

import cv2
import numpy as np
import pytest

from hamba_core.errors import WireError
from stages.wire.jpeg import check_jpeg


def jpeg(width: int, height: int, *options: int) -> bytes:
    return cv2.imencode(".jpg", np.zeros((height, width, 3), np.uint8), list(options))[1].tobytes()


@pytest.mark.parametrize("options", [(), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)])
def test_pictures_of_publishers_are_taken(options: tuple[int, ...]) -> None:
    check_jpeg(jpeg(640, 480, *options))
    check_jpeg(jpeg(4096, 2304, *options))


def with_size(width: int, height: int) -> bytes:
    data = bytearray(jpeg(64, 48))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    return bytes(data)


@pytest.mark.parametrize(
    "data",
    [with_size(60_000, 60_000), with_size(0, 48), b"\xff\xd8", b"", b"\x89PNG", b"\xff\xd8\xff\xe0\0\0" * 99],
)
def test_pictures_that_are_too_large_or_none_are_refused(data: bytes) -> None:
    with pytest.raises(WireError, match="jpeg: expected"):
        check_jpeg(data)
