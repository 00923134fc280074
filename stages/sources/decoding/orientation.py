"""The orientation tells which way up a picture is: display matrices of videos, EXIF orientations of photographs."""

from dataclasses import dataclass
from struct import unpack

import numpy as np

from stages.packets import Image


@dataclass(frozen=True)
class Orientation:
    """It turns a stored picture into the upright one: transposed first if it has to be, then mirrored."""

    transpose: bool = False
    mirror_x: bool = False
    mirror_y: bool = False

    @classmethod
    def from_display_matrix(cls, data: bytes) -> "Orientation":
        """Return the nearest quarter turn to FFmpeg's 3x3 matrix of int32; upright for a degenerate one.

        The matrix takes a stored pixel (x, y) to (a x + c y, b x + d y); a, b, c, d are entries 0, 1, 3 and 4.
        """
        if len(data) < 36:
            return UPRIGHT
        a, b, _, c, d = unpack("=5i", data[:20])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    @classmethod
    def from_exif(cls, value: int) -> "Orientation":
        """Return the orientation of EXIF's tag 0x0112, 1 to 8; upright for anything else."""
        return _EXIF.get(value, UPRIGHT)

    def apply(self, image: Image) -> Image:
        """Return the upright picture."""
        if self == UPRIGHT:
            return image
        import cv2

        code = _ROTATIONS.get((self.transpose, self.mirror_x, self.mirror_y))
        if code is not None:
            return np.asarray(cv2.rotate(image, code), np.uint8)
        if self.transpose:
            image = np.asarray(cv2.transpose(image), np.uint8)
        if self.mirror_x or self.mirror_y:
            # OpenCV's flip codes: 1 mirrors left and right, 0 top and bottom, -1 both.
            image = np.asarray(cv2.flip(image, -1 if self.mirror_x and self.mirror_y else int(self.mirror_x)), np.uint8)
        return image


UPRIGHT = Orientation()

# cv2.ROTATE_90_CLOCKWISE, ROTATE_180 and ROTATE_90_COUNTERCLOCKWISE.
_ROTATIONS = {(True, True, False): 0, (False, True, True): 1, (True, False, True): 2}

_EXIF = {
    2: Orientation(mirror_x=True),
    3: Orientation(mirror_x=True, mirror_y=True),
    4: Orientation(mirror_y=True),
    5: Orientation(transpose=True),
    6: Orientation(transpose=True, mirror_x=True),
    7: Orientation(transpose=True, mirror_x=True, mirror_y=True),
    8: Orientation(transpose=True, mirror_y=True),
}
