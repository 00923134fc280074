"""Makes crops.jpg: training crops of both hands, the last row with the joints that are true of them.

python docs/images/make_crops.py
"""

from pathlib import Path

import cv2
import numpy as np

from hamba_core.hand import BONES
from stages.synthetic.crops import CropSettings, Sight, TrainingCrop, render_crop

COLUMNS, ROWS = 8, 5
FIRST_SEED = 300
COLOURS = {Sight.VISIBLE: (255, 255, 255), Sight.BEHIND_ITSELF: (255, 200, 0), Sight.COVERED: (255, 60, 60),
           Sight.OUTSIDE: (90, 90, 255)}  # fmt: skip
QUALITY = 82


def with_joints(crop: TrainingCrop) -> np.ndarray:
    """The picture with bones and joints, coloured by whether they are seen."""
    image = crop.image.copy()
    places = np.round(crop.truth.joints_2d).astype(int).tolist()
    for parent, child in BONES:
        cv2.line(image, places[parent], places[child], (60, 220, 90), 1, cv2.LINE_AA)
    for place, sight in zip(places, crop.truth.sight, strict=True):
        cv2.circle(image, place, 3, COLOURS[Sight(sight)], -1, cv2.LINE_AA)
    return image


def main() -> None:
    """Render and write the sheet."""
    rows = []
    for row in range(ROWS):
        seeds = range(FIRST_SEED + row * COLUMNS, FIRST_SEED + (row + 1) * COLUMNS)
        crops = [render_crop(seed, CropSettings(mesh="second" if seed % 3 == 0 else "generic")) for seed in seeds]
        rows.append(np.concatenate([with_joints(c) if row == ROWS - 1 else c.image for c in crops], 1))
    sheet = np.concatenate(rows)
    path = Path(__file__).with_name("crops.jpg")
    cv2.imwrite(str(path), sheet[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, QUALITY])


if __name__ == "__main__":
    main()
