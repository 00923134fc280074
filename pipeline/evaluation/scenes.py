"""Estimators are measured on held-out scenes of the synthetic source, as it draws them and made harder.

A scene is a seed of `HELD_OUT_SEEDS` and a *view* of it. Whatever a view does to the pictures, it does to the camera
and to the truth too, so that truth stays exact.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, get_args

import numpy as np

from hamba_core.errors import ConfigurationError
from hamba_core.view import Intrinsics
from stages.packets import Frame, FrameMeta, Image
from stages.synthetic import HELD_OUT_SEEDS, HandTruth, SyntheticSettings, SyntheticSource

View = Literal["plain", "narrow", "small", "dark", "cut", "fast"]
"""plain: as drawn. narrow: the middle, as a camera of 50 degrees sees it. small: shrunk into a wider picture. dark: a
tenth of the light, with the grain that comes with it. cut: both sides of the picture taken off, through the hands.
fast: played at twice the speed."""
VIEWS: Final[tuple[View, ...]] = get_args(View)

_NARROW: Final = np.tan(np.radians(25)) / np.tan(np.radians(30))  # of the width
_SHRUNK: Final = 0.36
_LIGHT: Final = 0.1
_CUT: Final = 0.22  # of the width, on either side
FRAME_RATE: Final = 30.0
"""Frames/s of every scene."""
_CYCLE: Final = 10.0  # s, in which the synthetic hands do everything once


@dataclass(frozen=True)
class Scene:
    """One stretch of video with its truth. `held_out_scenes` makes it."""

    seed: int
    view: View
    seconds: float
    start: int  # index of its first frame
    width: int = 640
    height: int = 480

    @property
    def name(self) -> str:
        """The seed and the view, in one word."""
        return f"{self.seed}-{self.view}"

    @property
    def frames_expected(self) -> int:
        """How many frames the scene has."""
        return self._settings.frames or 0

    @property
    def _speed(self) -> float:
        return 2.0 if self.view == "fast" else 1.0

    @property
    def _settings(self) -> SyntheticSettings:
        return SyntheticSettings(
            seed=self.seed, width=self.width, height=self.height, fps=FRAME_RATE / self._speed,
            seconds=self.seconds * self._speed,
        )  # fmt: skip

    def frames(self) -> Iterator[tuple[Frame, tuple[HandTruth, ...]]]:
        """Yield each frame and its hands, also those out of the picture.

        Indices and times go on from scene to scene, with a pause between two.
        """
        source = SyntheticSource(self._settings)
        source.open()
        random = np.random.default_rng([self.seed, VIEWS.index(self.view)])
        try:
            for number, frame in enumerate(frame for frame in source.frames() if frame is not None):
                truth = source.truth(frame.meta.pts)
                image, camera, truth = _viewed(self.view, frame, truth, random)
                height, width = image.shape[:2]
                index = self.start + number
                pts = self.start + number / FRAME_RATE  # scenes are more seconds apart than they last
                yield Frame(FrameMeta("hands", index, pts, frame.meta.captured_ns, width, height, camera), image), truth
        finally:
            source.close()


def held_out_scenes(
    seeds: int, seconds: float = _CYCLE, views: Sequence[View] = VIEWS, size: tuple[int, int] = (640, 480)
) -> list[Scene]:
    """Return scenes of `seconds` each: `seeds` plain ones, and of every other view a third as many, at least one.

    `size` is the picture's (width, height) before it is cut. Raises ConfigurationError if there are not so many
    held-out seeds.
    """
    others = max(1, seeds // 3)
    counts = {view: seeds if view == "plain" else others for view in views}
    wanted = sum(counts.values())
    if not seeds >= 1 or wanted > len(HELD_OUT_SEEDS):
        raise ConfigurationError(
            f"--seeds: expected at least 1, and no more scenes than the {len(HELD_OUT_SEEDS)} seeds that are held out, "
            f"found {seeds}, which makes {wanted} scenes"
        )
    scenes: list[Scene] = []
    start = 0
    for view, count in counts.items():
        for number in range(count):
            # Seeds are given by view, so that a scene is the same whatever else is measured.
            seed = HELD_OUT_SEEDS[number if view == "plain" else 40 + 12 * (VIEWS.index(view) - 1) + number]
            scenes.append(Scene(seed, view, seconds, start, *size))
            start += scenes[-1].frames_expected
    return scenes


def views_in(text: str | None) -> tuple[View, ...]:
    """Return the views in a text with commas between them, or all if it names none. Raises ConfigurationError."""
    if text is None:
        return VIEWS
    known = {str(view): view for view in VIEWS}
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in known]:
        raise ConfigurationError(f"--views: expected some of {', '.join(VIEWS)}, found {unknown[0]!r}")
    return tuple(known[name] for name in dict.fromkeys(names))


def _viewed(
    view: View, frame: Frame, truth: tuple[HandTruth, ...], random: np.random.Generator
) -> tuple[Image, Intrinsics, tuple[HandTruth, ...]]:
    image, camera = frame.image, frame.meta.camera
    width, height = frame.meta.width, frame.meta.height
    match view:
        case "narrow":
            new_width, new_height = round(_NARROW * width), round(_NARROW * height)
            return _cropped(image, camera, truth, (width - new_width) // 2, (height - new_height) // 2)
        case "cut":
            return _cropped(image, camera, truth, round(_CUT * width), 0)
        case "small":
            image, camera = _shrunk(image, camera)
            return image, camera, tuple(_seen_by(hand, camera) for hand in truth)
        case "dark":
            return _darkened(image, random), camera, truth
        case _:
            return image, camera, truth


def _cropped(
    image: Image, camera: Intrinsics, truth: tuple[HandTruth, ...], left: int, top: int
) -> tuple[Image, Intrinsics, tuple[HandTruth, ...]]:
    """Return the picture without `left` columns on either side and `top` rows at either end."""
    height, width = image.shape[:2]
    inner = np.ascontiguousarray(image[top : height - top, left : width - left])
    moved = replace(camera, cx=camera.cx - left, cy=camera.cy - top)
    size, inner_size = (width, height), (inner.shape[1], inner.shape[0])
    return inner, moved, tuple(_cut_off(hand, camera, size, moved, inner_size) for hand in truth)


def _seen_by(hand: HandTruth, camera: Intrinsics) -> HandTruth:
    return replace(hand, joints_2d=camera.project(hand.joints))


def _cut_off(
    hand: HandTruth, camera: Intrinsics, size: tuple[int, int], inner: Intrinsics, inner_size: tuple[int, int]
) -> HandTruth:
    """Return the hand as the inner picture shows it: what is outside is not visible."""
    shown = _share_inside(camera, hand, size)
    left = _share_inside(inner, hand, inner_size) / shown if shown > 0 else 0.0
    joints_2d = inner.project(hand.joints)
    inside = ((joints_2d >= 0) & (joints_2d < inner_size)).all(-1)
    return replace(
        hand, joints_2d=joints_2d, visible_joints=hand.visible_joints & inside, visibility=hand.visibility * left
    )


def _share_inside(camera: Intrinsics, hand: HandTruth, size: tuple[int, int]) -> float:
    """Return the share of a hand's vertices that lies in the picture."""
    pixels = camera.project(hand.vertices)
    return float(((pixels >= 0) & (pixels < size)).all(-1).mean())


def _shrunk(image: Image, camera: Intrinsics) -> tuple[Image, Intrinsics]:
    """Return the picture made small, in the middle of one of its old size whose rest continues its border, blurred."""
    import cv2

    height, width = image.shape[:2]
    inner_width, inner_height = round(_SHRUNK * width), round(_SHRUNK * height)
    inner = cv2.resize(image, (inner_width, inner_height), interpolation=cv2.INTER_AREA)
    left, top = (width - inner_width) // 2, (height - inner_height) // 2
    around = (top, height - inner_height - top, left, width - inner_width - left)
    wide = cv2.GaussianBlur(cv2.copyMakeBorder(inner, *around, cv2.BORDER_REPLICATE), (0, 0), width / 60)
    wide[top : top + inner_height, left : left + inner_width] = inner
    scaled = camera.scaled(inner_width / width, inner_height / height)
    return np.asarray(wide, np.uint8), replace(scaled, cx=scaled.cx + left, cy=scaled.cy + top)


def _darkened(image: Image, random: np.random.Generator) -> Image:
    """Return the picture of a tenth of the light: in linear light, with the noise of few photons and of the sensor."""
    light = _LIGHT * (image / np.float32(255)) ** np.float32(2.2)
    noise = random.standard_normal(image.shape, np.float32) * np.sqrt(light * np.float32(0.0004) + np.float32(4e-7))
    return np.asarray(255 * np.clip(light + noise, 0, 1) ** np.float32(1 / 2.2), np.uint8)
