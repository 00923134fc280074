"""Test-time augmentation: pictures that show what they say, and a fusion that agrees with a direct computation."""

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from hamba_core.view import Intrinsics, square_around
from pipeline.evaluation.augmentation import PLAIN, ROTATIONS, SCALES, augmented, fused
from pipeline.evaluation.published_data import Answer, Sample

CAMERA = Intrinsics(480.0, 480.0, 118.0, 109.0)
POINT = np.array([0.03, -0.02, 0.6])


def _sample() -> Sample:
    """A picture with a soft bright dot where `POINT` is."""
    y, x = np.mgrid[:224, :224] + 0.5
    at = CAMERA.project(POINT)
    dot = 255 * np.exp(-((x - at[0]) ** 2 + (y - at[1]) ** 2) / (2 * 3.0**2))
    image = np.repeat(dot[..., None], 3, 2).astype(np.uint8)
    return Sample("dot", image, CAMERA, np.array([56, 56, 168, 168], np.float32), "right")


def test_every_scale_meets_every_rotation_once() -> None:
    samples = augmented(_sample(), 2.0)
    assert len(samples) == len(SCALES) * len(ROTATIONS) == 95
    assert samples[PLAIN].image is not None
    assert np.array_equal(samples[PLAIN].image, _sample().image)
    sides = {round(square_around(one.box, 2.0).side / square_around(_sample().box, 2.0).side, 3) for one in samples}
    assert sides == {0.7, 0.8, 0.9, 1.0, 1.1}


@pytest.mark.parametrize("angle", [-90, -40, 0, 30, 90])
def test_a_turned_picture_shows_the_turned_scene_through_its_camera(angle: int) -> None:
    sample = augmented(_sample(), 2.0)[ROTATIONS.index(angle)]
    moments = cv2.moments(sample.image[..., 0].astype(np.float32))
    seen = np.array([moments["m10"], moments["m01"]]) / moments["m00"] + 0.5
    turned = Rotation.from_euler("z", angle, degrees=True).apply(POINT)
    assert seen == pytest.approx(sample.camera.project(turned), abs=0.1)


def test_the_largest_crop_is_inside_the_turned_picture() -> None:
    for sample in augmented(_sample(), 2.0):
        square = square_around(sample.box, 2.0)
        if sample.image.shape[0] != 224:
            assert square.side <= sample.image.shape[0] + 1
            assert (square.x, square.y) == pytest.approx((sample.image.shape[1] / 2, sample.image.shape[0] / 2))


def _answer(seed: int) -> Answer:
    random = np.random.default_rng(seed)
    return Answer(random.normal(0, 0.05, (21, 3)), random.normal(0, 0.05, (50, 3)))


def test_fusing_agrees_with_a_direct_computation() -> None:
    """Umeyama's formula written anew, one answer after the other."""
    plain = _answer(0)
    answers: list[Answer | None] = []
    random = np.random.default_rng(1)
    for number in range(95):
        turn = Rotation.from_rotvec(random.normal(0, 1, 3)).as_matrix()
        noise = random.normal(0, 0.003, (71, 3))
        points = 1.3 * (np.concatenate([plain.joints, plain.vertices]) + noise) @ turn.T + random.normal(0, 0.1, 3)
        answers.append(Answer(points[:21], points[21:]) if number % 7 else None)
    answers[PLAIN] = plain
    result = fused(answers)
    assert result is not None

    joints, vertices, count = np.zeros((21, 3)), np.zeros((50, 3)), 0
    for answer in answers:
        if answer is None:
            continue
        source, goal = answer.vertices.mean(0), plain.vertices.mean(0)
        own, wanted = answer.vertices - source, plain.vertices - goal
        u, d, vt = np.linalg.svd(wanted.T @ own)
        sign = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
        turn = u @ np.diag(sign) @ vt
        scale = (d * sign).sum() / (own * own).sum()
        joints += scale * (answer.joints - source) @ turn.T + goal
        vertices += scale * own @ turn.T + goal
        count += 1
    assert result.joints == pytest.approx(joints / count, abs=1e-12)
    assert result.vertices == pytest.approx(vertices / count, abs=1e-12)


def test_answers_that_differ_by_a_similarity_alone_fuse_to_the_plain_one() -> None:
    plain = _answer(2)
    turn = Rotation.from_euler("z", 40, degrees=True).as_matrix()
    answers: list[Answer | None] = [
        Answer(0.8 * plain.joints @ turn.T + 1, 0.8 * plain.vertices @ turn.T + 1) for _ in range(95)
    ]
    answers[PLAIN] = plain
    result = fused(answers)
    assert result is not None
    assert result.vertices == pytest.approx(plain.vertices, abs=1e-12)


def test_without_the_plain_answer_there_is_none() -> None:
    answers: list[Answer | None] = [_answer(3)] * 95
    answers[PLAIN] = None
    assert fused(answers) is None
