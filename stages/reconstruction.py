"""Reconstruct: tracked boxes to hands, by the estimator that settings ask for."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from hamba_core.errors import ConfigurationError
from hamba_core.hand_model import HandModel
from stages.contract import Stage
from stages.estimator import Estimator
from stages.hamba_estimator import HambaEstimator, NetworkSettings
from stages.packets import Choice, Detections, FrameResult, HandTopology

CHECKPOINT_VARIABLE = "HAMBA_CHECKPOINT"
"""Environment variable that names a checkpoint where settings do not."""


class ReconstructionSettings(NetworkSettings):
    """How hands are reconstructed; how the network is run, where it is."""

    estimator: Literal["auto", "hamba", "landmarks"] = Field(
        "auto",
        description="hamba: the network; landmarks: the hand model fitted to the detector's joints; "
        "auto: hamba if a checkpoint is configured, else landmarks",
    )
    checkpoint: Path | None = Field(
        None,
        description="Hamba release folder, checkpoint or converted file; without it, what HAMBA_CHECKPOINT names",
    )
    hand_model: str = Field("generic", description="generic, or the path of your own MANO file")


class Reconstruction(Stage[Detections, FrameResult]):
    """Holds the estimator and puts its hands into results."""

    name = "reconstruct"

    def __init__(self, settings: ReconstructionSettings) -> None:
        self._settings = settings
        self._choice, self._estimator = _estimator(settings)
        self.batch = self._estimator.batch

    def open(self) -> None:
        """Load the estimator. Raises ConfigurationError, WeightsError, HandModelError, DeviceError."""
        self._estimator.open()

    def process(self, packet: Detections) -> FrameResult:
        """The hands of one frame."""
        return self.process_many([packet])[0]

    def process_many(self, packets: Sequence[Detections]) -> list[FrameResult]:
        """The hands of several frames, in order of time."""
        hands = self._estimator.reconstruct(packets)
        return [
            FrameResult(packet.frame.meta, of_frame, image=packet.frame.image)
            for packet, of_frame in zip(packets, hands, strict=True)
        ]

    def choices(self) -> tuple[Choice, ...]:
        """The estimator in use and why, and its own choices."""
        return (self._choice, *self._estimator.choices())

    @property
    def estimator(self) -> str:
        """The name of the estimator in use."""
        return self._estimator.name

    def hand_model(self) -> HandModel:
        """The hand model that the hands are posed with, after `open`."""
        return self._estimator.hand_model()

    def topology(self) -> HandTopology:
        """That of the estimator's hand model."""
        return self._estimator.topology()

    def close(self) -> None:
        """Free the estimator."""
        self._estimator.close()


def _estimator(settings: ReconstructionSettings) -> tuple[Choice, Estimator]:
    """The estimator that settings ask for, not open yet, and why it is that one."""
    configured = _checkpoint(settings)
    wanted = settings.estimator
    if wanted == "landmarks":
        return Choice("estimator", "landmarks", "configured"), _landmarks(settings)
    if configured is None and wanted == "auto":
        reason = (
            "no Hamba checkpoint is configured; to use the network, get the released checkpoint (docs/model.md) and "
            f"name it with --checkpoint, reconstruct.checkpoint or {CHECKPOINT_VARIABLE}"
        )
        return Choice("estimator", "landmarks", reason, fallback=True), _landmarks(settings)
    if configured is None:
        raise ConfigurationError(
            "estimator hamba: expected a checkpoint in --checkpoint, reconstruct.checkpoint or "
            f"{CHECKPOINT_VARIABLE}, found none; get the released one (docs/model.md), or use the estimator landmarks"
        )
    checkpoint, origin = configured
    return Choice("estimator", "hamba", f"checkpoint {checkpoint} from {origin}"), _hamba(settings, checkpoint)


def _checkpoint(settings: ReconstructionSettings) -> tuple[Path, str] | None:
    """The configured checkpoint and where it was configured."""
    if settings.checkpoint is not None:
        return settings.checkpoint, "settings"
    from_environment = os.environ.get(CHECKPOINT_VARIABLE)
    return (Path(from_environment), CHECKPOINT_VARIABLE) if from_environment else None


def _landmarks(settings: ReconstructionSettings) -> Estimator:
    from stages.landmarks.estimator import LandmarksEstimator
    from stages.landmarks.offsets import landmark_offsets

    model = _hand_model(settings.hand_model)
    return LandmarksEstimator(model, landmark_offsets(model))


def _hand_model(name: str) -> HandModel:
    if name == "generic":
        from hamba_core.generic_hand import load_generic_hand

        return load_generic_hand()
    from hamba_core.mano import read_mano

    return read_mano(Path(name))


def _hamba(settings: ReconstructionSettings, checkpoint: Path) -> Estimator:
    mano = None if settings.hand_model == "generic" else Path(settings.hand_model)
    return HambaEstimator(checkpoint, mano, settings)
