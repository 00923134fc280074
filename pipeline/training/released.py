"""Training of the released architecture: mixed data sets in, the paper's losses and optimiser, a release out."""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor, nn

from hamba_core.errors import ConfigurationError
from hamba_core.hand import HandModel, load_generic_hand, read_mano
from hamba_core.network import Hamba, HambaConfiguration
from hamba_core.training import (
    CropTruths,
    HandDiscriminator,
    ReleasedLossWeights,
    RunningWeights,
    discriminating_loss,
    fooling_loss,
    initialise,
    recompute,
    released_losses,
)
from hamba_core.weights import fill_backbone, load, save_release
from pipeline.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from pipeline.training.curves import CURVES, Curves
from pipeline.training.data_sets import HandSample, MixedHands, Mixture, open_data, read_pose_space
from pipeline.training.engine import joined, parted, reduced, share_statistics
from pipeline.training.released_run_settings import ReleasedSettings
from pipeline.training.released_scores import ReleasedScores, score_released

if TYPE_CHECKING:
    from lightning_fabric import Fabric

RELEASE: Final = "release"
"""The name of the folder with what came out, in a run's folder."""

_LOSSES = ("loss", "joints", "joints_2d", "orient", "pose", "betas", "adversarial", "discriminator")
_SCORES = ("pa_mpjpe", "mpjpe", "error_2d")


@dataclass(frozen=True)
class ReleasedTrained:
    """What a training gave."""

    scores: ReleasedScores
    release: Path
    """What `hamba run --checkpoint` takes."""


def train_released(
    settings: ReleasedSettings, folder: Path, on_step: Callable[[str], None] = lambda step: None
) -> ReleasedTrained:
    """Train in a folder, going on where an earlier call left off. `on_step` is told how it goes.

    Under `torchrun` the processes share each batch. Raises HambaError.
    """
    settings.check()
    torch.set_num_threads(settings.threads)
    hand = load_generic_hand() if settings.hand is None else read_mano(settings.hand)
    poses = None if settings.hand is None else read_pose_space(settings.hand)
    mixture = Mixture(
        open_data(settings.data.folders, poses), settings.data.weights, settings.data.aside, settings.seed
    )
    fabric = joined(settings.device)
    say = on_step if fabric.is_global_zero else lambda step: None
    try:
        network = begun_network(settings, hand)
        trained = sum(parameter.numel() for parameter in network.parameters() if parameter.requires_grad)
        shares = ", ".join(f"{name} {share:.0%}" for name, share in mixture.shares.items())
        say(f"{trained / 1e6:.1f} M numbers to train, on {shares}")
        scores = ReleasedRun(settings, network, mixture, folder, fabric).run(say)
        release = folder / RELEASE
        if fabric.is_global_zero and not release.exists():
            say("writing the release")
            save_release(network, release)
        fabric.barrier()
    finally:
        parted()
    return ReleasedTrained(scores, release)


def new_network(configuration: HambaConfiguration, seed: int = 0, hand: HandModel | None = None) -> Hamba:
    """Return a network of first weights, for the generic hand or another."""
    network = Hamba(configuration, hand or load_generic_hand())
    initialise(network, seed)
    return network


def begun_network(settings: ReleasedSettings, hand: HandModel) -> Hamba:
    """Return the network that a run begins with: loaded or first weights, frozen parts without gradients."""
    if settings.start is None:
        network = new_network(settings.configuration(), settings.seed, hand)
    else:
        network = load(settings.start, hand, folded=False)
    if settings.start_backbone is not None:
        fill_backbone(network, settings.start_backbone)
    parts = {name for name, _ in network.named_children()}
    if unknown := sorted(set(settings.freeze) - parts):
        raise ConfigurationError(f"freeze: expected parts of {', '.join(sorted(parts))}, found {', '.join(unknown)}")
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name.partition(".")[0] not in settings.freeze)
    if not any(parameter.requires_grad for parameter in network.parameters()):
        raise ConfigurationError("freeze: expected something to be left to train, found every part frozen")
    if settings.recompute and "backbone" not in settings.freeze:
        recompute(network.backbone.blocks)
    network.use_scan("associative" if torch.device(settings.device).type == "cpu" else None)
    return network


class Judged(nn.Module):
    """A network and its losses: what the processes share is one function."""

    def __init__(self, network: Hamba, weights: ReleasedLossWeights, discriminator: HandDiscriminator | None) -> None:
        super().__init__()
        self.network, self.weights = network, weights
        self._discriminators = [discriminator] if discriminator is not None else []  # a list: trained elsewhere

    def forward(self, crops: Tensor, truth: CropTruths) -> tuple[dict[str, Tensor], Tensor, Tensor]:
        """Return each weighted loss and their sum as "loss", the poses (B, 15, 3, 3) and the betas (B, 10)."""
        output = self.network(crops)
        losses = released_losses(output, truth, self.weights)
        for discriminator in self._discriminators:
            judged = discriminator(output.hand_pose, output.betas)
            losses["adversarial"] = self.weights.adversarial * fooling_loss(judged)
            losses["loss"] = losses["loss"] + losses["adversarial"]
        return losses, output.hand_pose, output.betas


class ReleasedRun:
    """One run in a folder. `run` goes on where its last checkpoint is, or begins."""

    def __init__(
        self,
        settings: ReleasedSettings,
        network: Hamba,
        mixture: Mixture,
        folder: Path,
        fabric: "Fabric | None" = None,
    ) -> None:
        """`fabric` joins this process with others; without it, the network is trained here alone."""
        self.settings, self.network, self.folder = settings, network, folder
        self.fabric = fabric or joined(settings.device)
        self._hands = MixedHands(mixture, network.configuration, settings.changes())
        self._aside: list[HandSample] = mixture.kept_aside(settings.evaluate_hands)
        share_statistics(self.fabric, network)
        torch.manual_seed(settings.seed)
        self._discriminator = HandDiscriminator() if settings.adversarial else None
        trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
        optimiser = torch.optim.AdamW(trained, settings.learning_rate, weight_decay=settings.weight_decay)
        judged = Judged(network, settings.loss_weights(), self._discriminator)
        self._judged, self._optimiser = self.fabric.setup(judged, optimiser)
        if self._discriminator is not None:
            rate, decay = settings.learning_rate, settings.weight_decay
            judges = torch.optim.AdamW(self._discriminator.parameters(), rate, weight_decay=decay)
            self._judge, self._judges = self.fabric.setup(self._discriminator, judges)
        self._step, self._seconds = 0, 0.0
        self._mean = RunningWeights(network, settings.average) if settings.average else None

    def run(self, on_step: Callable[[str], None] = lambda step: None) -> ReleasedScores:
        """Train to the end, and give the last evaluation. Raises HambaError."""
        settings, path = self.settings, self.folder / CHECKPOINT
        if path.exists():
            self._resume(load_checkpoint(path, self.settings.hash()))
        leads = self.fabric.is_global_zero
        curves = Curves(self.folder / CURVES, self._step, _LOSSES, _SCORES) if leads else None
        clock = time.monotonic() - self._seconds
        scores: ReleasedScores | None = None
        batches = self._batches()
        while self._step < settings.steps:
            losses = self._train_step(*next(batches))
            self._step += 1
            self._seconds = reduced(self.fabric, time.monotonic() - clock, "max")
            due = self._step == settings.steps or self._step % settings.evaluate_every == 0
            scores = self._evaluate() if due and leads else None
            if curves is not None:
                curves.add(self._step, self._seconds, losses, {} if scores is None else asdict(scores))
            if leads and (due or self._step % settings.checkpoint_every == 0):
                save_checkpoint(path, self._state())
            on_step(_line(self._step, settings.steps, self._seconds, losses, scores))
        self.fabric.barrier()
        if self._mean is not None:
            self.network.load_state_dict(self._mean.state)
        self.network.eval()
        return scores or score_released(self.network, self._aside)

    def _batches(self) -> Iterator[tuple[Tensor, CropTruths]]:
        """Return this process' share of the batches that are left."""
        batch, rank, processes = self.settings.batch, self.fabric.global_rank, self.fabric.world_size
        numbers = [
            range(step * batch + rank, (step + 1) * batch, processes) for step in range(self._step, self.settings.steps)
        ]
        return self._hands.batches(numbers, self.settings.data.workers)

    def _train_step(self, crops: Tensor, truth: CropTruths) -> dict[str, float]:
        """Do one step, and return its losses."""
        settings = self.settings
        crops, truth = self.fabric.to_device((crops, truth))
        self.network.train()
        for part in settings.freeze:
            self.network.get_submodule(part).eval()  # so do its batch norms' statistics stay
        self._optimiser.zero_grad()
        with torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            losses, pose, betas = self._judged(crops, truth)
        # Fabric takes the processes' mean, and a process may have fewer hands than another.
        part_of_batch = len(crops) / settings.batch
        self.fabric.backward(losses["loss"] * (part_of_batch * self.fabric.world_size))
        norm = nn.utils.clip_grad_norm_([p for p in self.network.parameters() if p.requires_grad], settings.clip)
        if not torch.isfinite(norm):
            raise ConfigurationError(
                f"step {self._step}: expected finite gradients, found {float(norm)}; lower learning_rate, or train in "
                "float32"
            )
        self._optimiser.step()
        if self._mean is not None:
            self._mean.add(self.network)
        if self._discriminator is not None:
            losses["discriminator"] = self._train_judge(truth, pose.detach(), betas.detach())
        return {name: reduced(self.fabric, float(loss.detach()) * part_of_batch) for name, loss in losses.items()}

    def _train_judge(self, truth: CropTruths, pose: Tensor, betas: Tensor) -> Tensor:
        """Have the discriminator tell the data sets' hands, as far as they are known, from the network's."""
        known = truth.parameters_known > 0
        self._judges.zero_grad()
        real = self._judge(truth.hand_pose, truth.betas)[known]
        made: Tensor = self._judge(pose.float(), betas.float())
        loss = discriminating_loss(real, made) if known.any() else made.square().sum(1).mean() + 0 * real.sum()
        self.fabric.backward(loss)
        self._judges.step()
        return loss

    def _evaluate(self) -> ReleasedScores:
        """Return the running mean's scores, or those of the weights as they are."""
        self.network.eval()
        with self._mean.lent_to(self.network) if self._mean is not None else nullcontext():
            return score_released(self.network, self._aside)

    def _state(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "network": self.network.state_dict(), "optimiser": self._optimiser.state_dict(), "step": self._step,
            "seconds": self._seconds, "settings": self.settings.hash(),
        }  # fmt: skip
        if self._mean is not None:
            state |= {"mean": self._mean.state, "mean_steps": self._mean.steps}
        if self._discriminator is not None:
            state |= {"judge": self._discriminator.state_dict(), "judges": self._judges.state_dict()}
        return state

    def _resume(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        if self._mean is not None:
            self._mean.state, self._mean.steps = state["mean"], state["mean_steps"]
        if self._discriminator is not None:
            self._discriminator.load_state_dict(state["judge"])
            self._judges.load_state_dict(state["judges"])
        self._step, self._seconds = state["step"], state["seconds"]


def _line(step: int, steps: int, seconds: float, losses: Mapping[str, float], scores: ReleasedScores | None) -> str:
    text = f"step {step}/{steps}  {seconds:.0f} s  loss {losses['loss']:.4f}"
    found = {} if scores is None else asdict(scores)
    return text + "".join(f"  {name} {value:.2f}" for name, value in found.items() if not math.isnan(value))
