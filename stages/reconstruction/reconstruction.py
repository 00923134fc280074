"""The reconstruct stage turns tracked boxes into hands, by the estimator that settings ask for."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from hamba_core.errors import ConfigurationError
from hamba_core.hand import HandModel
from hamba_core.packages import needed_for
from stages.common.files import expanded
from stages.common.posing import with_mesh
from stages.contract import Stage
from stages.packets import Choice, Detections, FrameResult, Hand
from stages.reconstruction.estimator import Estimator
from stages.reconstruction.hamba import HambaEstimator, NetworkSettings, SharedModel
from stages.reconstruction.visibility import with_visibility
from stages.settings import UserPath

if TYPE_CHECKING:
    from stages.reconstruction.hamba import Model

CHECKPOINT_VARIABLE = "HAMBA_CHECKPOINT"
"""Environment variable that names a checkpoint where settings do not."""


class ReconstructionSettings(NetworkSettings):
    """How hands are reconstructed; how the network is run, where it is."""

    estimator: Literal["auto", "hamba", "hamba-s", "landmarks"] = Field(
        "auto",
        description="hamba: the released network; hamba-s: the small one, for the generic hand; landmarks: the hand "
        "model fitted to the detector's joints; auto: hamba if a checkpoint is configured, else hamba-s, or landmarks "
        "with a MANO hand",
    )
    checkpoint: UserPath | None = Field(
        None,
        description="Hamba release folder, checkpoint or converted file; none: what HAMBA_CHECKPOINT names",
    )
    small_network: UserPath | None = Field(
        None, description="hamba-s from `hamba train` (hamba_s.onnx); none: the shipped one"
    )
    hand_model: str = Field("generic", description="generic, or the path of your MANO file")


class Reconstruction(Stage[Detections, FrameResult]):
    """Holds the estimator and puts its hands into results, with how likely each joint is in sight.

    `hand_model` is the one that `load_hand_model` gives for these settings, or the shared network's. `estimator` is one
    of your own, in the place of the one that settings ask for. Without `meshes`, vertices that the estimator leaves out
    are left to the stage behind, which poses the hands anew. `live_hands` is how many hands a frame has at most where
    each frame is waited for. `on_step` is told what takes time while it opens. Several stages can use one `shared`
    network.
    """

    name = "reconstruct"

    def __init__(
        self,
        settings: ReconstructionSettings,
        hand_model: HandModel,
        *,
        estimator: Estimator | None = None,
        meshes: bool = True,
        live_hands: int | None = None,
        on_step: Callable[[str], None] = lambda step: None,
        shared: SharedModel | None = None,
    ) -> None:
        def hamba(checkpoint: Path) -> Estimator:
            return HambaEstimator(
                checkpoint, hand_model, settings, live_hands=live_hands, on_step=on_step, shared=shared
            )

        if estimator is not None:
            choice, self._estimator = Choice("estimator", estimator.name, "given by the program"), estimator
        else:
            choice, self._estimator = _estimator(settings, hand_model, hamba)
        named = settings.hand_model != "generic" or self._estimator.name != HambaEstimator.name
        reason = "reconstruct.hand_model" if named else "with the weights"
        self._choices = choice, Choice("hand model", hand_model.name, reason)
        self._hand_model, self._meshes = hand_model, meshes
        self.batch = self._estimator.batch

    def open(self) -> None:
        """Load the estimator. Raises ConfigurationError, WeightsError, DeviceError."""
        self._estimator.open()
        self.batch, self.in_flight = self._estimator.batch, self._estimator.in_flight

    def process(self, packet: Detections) -> FrameResult:
        """Return the hands of one frame."""
        return self.begin([packet])()[0]

    def process_many(self, packets: Sequence[Detections]) -> list[FrameResult]:
        """Return the hands of several frames, in order of time."""
        return self.begin(packets)()

    def begin(self, packets: Sequence[Detections]) -> Callable[[], list[FrameResult]]:
        """Start on several frames, in order of time, also from call to call."""
        finish = self._estimator.begin(packets)
        return lambda: [
            FrameResult(packet.frame.meta, self._finished(packet, of_frame), image=packet.frame.image)
            for packet, of_frame in zip(packets, finish(), strict=True)
        ]

    def _finished(self, packet: Detections, hands: tuple[Hand, ...]) -> tuple[Hand, ...]:
        hands = with_visibility(hands, packet.boxes, packet.frame.meta, packet.frame.image)
        return tuple(with_mesh(hand, self._hand_model) for hand in hands) if self._meshes else hands

    def choices(self) -> tuple[Choice, ...]:
        """Return the estimator and the hand model in use and why, and the estimator's own choices."""
        return (*self._choices, *self._estimator.choices())

    @property
    def wants_maps(self) -> bool:
        """Whether the estimator builds on the detector's inner maps (`HandLook.maps`)."""
        return self._estimator.wants_maps

    @property
    def estimator(self) -> str:
        """The name of the estimator in use."""
        return self._estimator.name

    def close(self) -> None:
        """Free the estimator."""
        self._estimator.close()


def named_estimator(settings: ReconstructionSettings) -> str:
    """Return the name of the estimator that these settings and what is configured ask for, without opening it."""
    if settings.estimator != "auto":
        return settings.estimator
    if _checkpoint(settings) is not None:
        return "hamba"
    return "hamba-s" if settings.hand_model == "generic" else "landmarks"


def uses_network(settings: ReconstructionSettings) -> bool:
    """Return whether the network reconstructs the hands, by these settings and what is configured."""
    return settings.estimator in ("auto", "hamba") and _checkpoint(settings) is not None


def shared_network(settings: ReconstructionSettings) -> SharedModel:
    """Return a network for several reconstructions with these settings; it is loaded when the first of them is opened.

    Raises ConfigurationError if no checkpoint is configured, WeightsError, HandModelError.
    """
    configured = _checkpoint(settings)
    if configured is None:
        raise _no_checkpoint()
    checkpoint, hand_model = configured[0], load_hand_model(settings)

    def open_it() -> "Model":
        with needed_for("the Hamba network"):
            from stages.reconstruction.hamba import open_model

        return open_model(checkpoint, hand_model, settings)

    return SharedModel(open_it, hand_model)


def load_hand_model(settings: ReconstructionSettings) -> HandModel:
    """Return the hand model that hands are posed with, by these settings and what is configured.

    Raises ConfigurationError, WeightsError, HandModelError.
    """
    configured = _checkpoint(settings)
    if configured is None and settings.estimator == "hamba":
        raise _no_checkpoint()
    if configured is None or settings.estimator in ("landmarks", "hamba-s") or settings.hand_model != "generic":
        return named_hand_model(settings.hand_model)
    from hamba_core.weights import load_hand

    return load_hand(configured[0])


def named_hand_model(name: str) -> HandModel:
    """Return the generic hand by its name "generic", or the one in a MANO file by its path. Raises HandModelError."""
    if name == "generic":
        from hamba_core.hand import load_generic_hand

        return load_generic_hand()
    from hamba_core.hand import read_mano

    return read_mano(expanded(name))


def _estimator(
    settings: ReconstructionSettings, hand_model: HandModel, hamba: Callable[[Path], Estimator]
) -> tuple[Choice, Estimator]:
    """Return the estimator that settings ask for, not open yet, and why it is that one."""
    configured = _checkpoint(settings)
    wanted = settings.estimator
    if wanted in ("landmarks", "hamba-s"):
        estimator = _landmarks(hand_model) if wanted == "landmarks" else _small_hamba(settings, hand_model)
        return Choice("estimator", wanted, "configured"), estimator
    if configured is None and wanted == "auto":
        if hand_model.name == "generic":
            return Choice("estimator", "hamba-s", "it ships, and no Hamba checkpoint is configured"), _small_hamba(
                settings, hand_model
            )
        reason = (
            f"hamba-s gives the generic hand alone, the hand model is {hand_model.name}; to use the network, get the "
            "released checkpoint (docs/model.md) and name it with --checkpoint, reconstruct.checkpoint or "
            f"{CHECKPOINT_VARIABLE}"
        )
        return Choice("estimator", "landmarks", reason, fallback=True), _landmarks(hand_model)
    if configured is None:
        raise _no_checkpoint()
    checkpoint, origin = configured
    return Choice("estimator", "hamba", f"checkpoint {checkpoint} from {origin}"), hamba(checkpoint)


def _checkpoint(settings: ReconstructionSettings) -> tuple[Path, str] | None:
    """Return the configured checkpoint and where it was configured."""
    if settings.checkpoint is not None:
        return settings.checkpoint, "settings"
    from_environment = os.environ.get(CHECKPOINT_VARIABLE)
    return (expanded(from_environment), CHECKPOINT_VARIABLE) if from_environment else None


def _landmarks(hand_model: HandModel) -> Estimator:
    from stages.reconstruction.landmarks import LandmarksEstimator, landmark_offsets

    return LandmarksEstimator(hand_model, landmark_offsets(hand_model))


def _small_hamba(settings: ReconstructionSettings, hand_model: HandModel) -> Estimator:
    """Return the estimator hamba-s for the generic hand. Raises ConfigurationError for any other hand model."""
    if hand_model.name != "generic":
        raise ConfigurationError(
            f"estimator hamba-s: expected the hand model generic, whose parameters it was trained to give, found "
            f"{hand_model.name}; leave reconstruct.hand_model out, or use the estimator landmarks"
        )
    from stages.reconstruction.small_hamba import SmallHambaEstimator

    return SmallHambaEstimator(hand_model, settings.small_network)


def _no_checkpoint() -> ConfigurationError:
    return ConfigurationError(
        "estimator hamba: expected a checkpoint in --checkpoint, reconstruct.checkpoint or "
        f"{CHECKPOINT_VARIABLE}, found none; get the released one (docs/model.md), or use the estimator landmarks"
    )
