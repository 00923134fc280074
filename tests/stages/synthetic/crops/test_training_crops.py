"""A training crop: the same for a seed, and true."""

import cv2
import numpy as np
import pytest

from hamba_core.hand import load_generic_hand
from hamba_core.view import Intrinsics
from stages.detection import DetectionSettings, HandDetection
from stages.packets import Frame, FrameMeta
from stages.synthetic.crops import CropSettings, Jitter, Sight, TrainingCrop, render_crop
from stages.synthetic.crops.composing import SCENES, Scene, compose
from stages.synthetic.crops.draws import Draws
from stages.synthetic.crops.framing import square_around
from stages.synthetic.crops.generator import _canvas, _truth, _within
from stages.synthetic.crops.rendering import draw, solid_scene

MODEL = load_generic_hand()
SEEDS = range(300, 312)


@pytest.fixture(scope="module")
def crops() -> list[TrainingCrop]:
    return [render_crop(seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def scenes() -> list[Scene]:
    return [compose(Draws(seed)) for seed in range(80)]


def test_a_seed_gives_the_same_crop_whatever_was_rendered_before(crops: list[TrainingCrop]) -> None:
    for index in (5, 0):
        again = render_crop(SEEDS[index])
        np.testing.assert_array_equal(again.image, crops[index].image)
        np.testing.assert_array_equal(again.truth.joints, crops[index].truth.joints)


def test_seeds_differ(crops: list[TrainingCrop]) -> None:
    assert len({crop.image.tobytes() for crop in crops}) == len(crops)
    assert len({crop.truth.hand_pose.tobytes() for crop in crops}) == len(crops)


def test_the_parameters_give_the_joints_and_the_camera_puts_them_into_the_crop(crops: list[TrainingCrop]) -> None:
    for crop in crops:
        truth = crop.truth
        posed = MODEL.pose(truth.global_orient, truth.hand_pose, truth.betas, truth.translation)
        np.testing.assert_allclose(posed.joints, truth.joints, atol=1e-9)
        np.testing.assert_allclose(Intrinsics(*truth.camera).project(posed.joints), truth.joints_2d, atol=1e-6)
        assert crop.image.shape == (224, 224, 3)
        assert crop.image.dtype == np.uint8


def test_the_crops_camera_is_the_pictures_turned(crops: list[TrainingCrop]) -> None:
    for crop in crops:
        truth = crop.truth
        A = truth.T_crop_picture[:, :2]
        scale = np.sqrt(np.linalg.det(A))
        turn = np.eye(3)
        turn[:2, :2] = A / scale
        in_picture = Intrinsics(*truth.picture_camera).project(truth.joints @ turn)
        np.testing.assert_allclose(in_picture @ A.T + truth.T_crop_picture[:, 2], truth.joints_2d, atol=1e-6)


def test_without_jitter_the_wrist_is_below_the_knuckles() -> None:
    still = CropSettings(jitter=Jitter(turn=0, scale=0, shift=0, gross=0))
    for seed in range(3):
        joints = render_crop(seed, still).truth.joints_2d
        knuckles = (joints[5] + joints[13]) / 4 + joints[9] / 2
        assert abs(knuckles[0] - joints[0, 0]) < 1e-6
        assert knuckles[1] < joints[0, 1]


def test_the_size_is_chosen() -> None:
    crop, small = render_crop(4), render_crop(4, CropSettings(size=112))
    assert small.image.shape == (112, 112, 3)
    np.testing.assert_allclose(small.truth.joints_2d, crop.truth.joints_2d / 2)


def test_the_drawn_outline_is_the_models(scenes: list[Scene]) -> None:
    """The hand's cells, beyond the wrist, against the projected faces of the model that the truth describes."""
    bare = [scene for scene in scenes if len(scene.parts) == 1][:4]
    assert bare
    for scene in bare:
        square = square_around(scene.camera.project(scene.figure.posed.joints))
        canvas = _canvas(scene, square)
        drawing = draw(scene.parts, solid_scene(scene.parts), scene.lights, scene.camera, canvas,
                       _within(square, canvas), np.random.default_rng(0))  # fmt: skip
        size = 896
        truth = _truth(0, scene, square, np.zeros(21, np.uint8), size)
        posed = MODEL.pose(truth.global_orient, truth.hand_pose, truth.betas, truth.translation)
        pixels = Intrinsics(*truth.camera).project(posed.vertices)
        model = np.zeros((size, size), np.uint8)
        for face in MODEL.faces:
            cv2.fillConvexPoly(model, np.round((pixels[face] - 0.5) * 16).astype(np.int32), 1, cv2.LINE_8, 4)
        T = square.transform(size)
        A = T[:, :2] / canvas.scale
        b = T[:, 2] + T[:, :2] @ (canvas.left, canvas.top) + A @ (0.5, 0.5) - 0.5
        matrix = np.concatenate([A, b[:, None]], 1)
        drawn = np.asarray(cv2.warpAffine(drawing.layer[..., 3], matrix, (size, size))) > 0.5
        everything = np.ones((scene.height, scene.width), np.uint8)
        shown = np.asarray(cv2.warpAffine(everything, T, (size, size))) > 0
        wrist, knuckle = truth.joints_2d[0], truth.joints_2d[9]
        up = (knuckle - wrist) / np.linalg.norm(knuckle - wrist)
        y, x = np.mgrid[:size, :size]
        beyond = (x - wrist[0]) * up[0] + (y - wrist[1]) * up[1] > 0.15 * np.linalg.norm(knuckle - wrist)
        near = np.asarray(cv2.dilate(model, np.ones((41, 41), np.uint8))) > 0
        looked_at = shown & beyond & near
        both, either = (model > 0) & drawn & looked_at, ((model > 0) | drawn) & looked_at
        assert both.sum() / either.sum() > 0.975


def test_what_is_in_front_of_a_joint_is_told_apart(scenes: list[Scene]) -> None:
    crops = {name: [] for name in SCENES}  # type: ignore[var-annotated]
    for seed, scene in enumerate(scenes):
        if len(crops[scene.scene]) < 5:
            crops[scene.scene].append(render_crop(seed))
    for crop in crops["alone"]:
        assert Sight.COVERED not in crop.truth.sight
    for name in ("holding", "covered", "hands"):
        assert any(Sight.COVERED in crop.truth.sight for crop in crops[name]), name
    everything = [crop for several in crops.values() for crop in several]
    assert all(crop.truth.visible.sum() >= 1 for crop in everything)
    for crop in everything:
        outside = ((crop.truth.joints_2d < 0) | (crop.truth.joints_2d > 224)).any(1)
        assert (crop.truth.sight[outside] == Sight.OUTSIDE).all()


def test_every_kind_of_scene_camera_and_pose_occurs(scenes: list[Scene]) -> None:
    assert {scene.scene for scene in scenes} == set(SCENES)
    assert {scene.view for scene in scenes} == {"webcam", "phone", "egocentric", "anywhere"}
    assert {"gesture", "between", "synergy", "fingers", "pinch"} <= {scene.kind for scene in scenes}
    for scene in scenes:
        assert (scene.figure.posed.joints[:, 2] > 0.08).all()


def test_hands_are_seen_from_all_sides(scenes: list[Scene]) -> None:
    palms = np.array([-scene.figure.global_orient[:, 1] for scene in scenes])  # out of the palm, the model's -y
    assert (palms[:, 2] < -0.5).any()
    assert (palms[:, 2] > 0.5).any()
    assert (np.abs(palms[:, 2]) < 0.3).any()


def test_beyond_the_picture_a_crop_is_black_or_goes_on(crops: list[TrainingCrop]) -> None:
    # A seed whose crop reaches beyond its picture.
    for seed in range(200):
        crop = render_crop(seed) if seed not in SEEDS else crops[SEEDS.index(seed)]
        width, height = crop.truth.picture_size
        A, b = crop.truth.T_crop_picture[:, :2], crop.truth.T_crop_picture[:, 2]
        corners = np.linalg.solve(A, np.array([(3, 3), (221, 3), (221, 221), (3, 221)]).T - b[:, None]).T
        outside = ((corners < -3) | (corners > (width + 3, height + 3))).any(1)
        if outside.any():
            break
    x, y = [(3, 3), (221, 3), (221, 221), (3, 221)][int(np.argmax(outside))]
    assert not crop.image[y - 2 : y + 2, x - 2 : x + 2].any()
    assert render_crop(seed, CropSettings(border="edge")).image[y - 2 : y + 2, x - 2 : x + 2].any()


def test_mediapipe_sees_these_hands_and_puts_their_joints_where_they_are() -> None:
    """On hands by themselves, wholly seen, most are found and the landmarks lie near the joints."""
    distances, looked_at = [], 0
    with HandDetection(DetectionSettings(max_hands=1), stills=True) as detection:
        for seed in range(3000, 3060):
            crop = render_crop(seed)
            if crop.truth.scene != "alone" or crop.truth.visible.sum() < 15:
                continue
            looked_at += 1
            meta = FrameMeta("crop", looked_at, looked_at / 10, 0, 224, 224, Intrinsics.estimate(224, 224))
            boxes = detection.process(Frame(meta, crop.image)).boxes
            if boxes:
                distances.append(np.median(np.linalg.norm(boxes[0].joints_2d - crop.truth.joints_2d, axis=1)))
    assert looked_at >= 8
    assert len(distances) >= 0.6 * looked_at
    assert np.median(distances) < 9  # pixels of 224; the landmarks' own places differ by about four from the joints
