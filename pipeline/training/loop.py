"""The loop: batches, losses, steps; curves, evaluations and checkpoints along the way."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from hamba_core.errors import ConfigurationError
from hamba_core.network.small import HambaSmall, HandViews
from hamba_core.training import HandTruths, LossWeights, RunningWeights, hand_losses, initialise
from hamba_core.weights import fill_small
from pipeline.training.checkpoint import CHECKPOINT, load_checkpoint, save_checkpoint
from pipeline.training.curves import CURVES, Curves
from pipeline.training.engine import joined, reduced, share, share_statistics
from pipeline.training.scores import Scores, score
from pipeline.training.settings import TrainingSettings
from pipeline.training.table import HandTable

if TYPE_CHECKING:
    from lightning_fabric import Fabric

_LOSSES = ("loss", "joints", "vertices", "joints_2d", "pose", "orient", "betas", "taught", "agreement")
_SCORES = ("pa_mpjpe", "mpjpe", "error_2d", "first_pa_mpjpe", "first_mpjpe")

_LEAST_RATE = 0.01  # of the highest learning rate, at the end
_BETAS = (0.9, 0.98)
_SMOOTHING = 0.98  # of the printed loss


@dataclass(frozen=True)
class Progress:
    """Where a run is."""

    step: int
    steps: int
    seconds: float  # of the processor's time, over all pieces of the run
    loss: float
    scores: Scores | None = None  # where it was just evaluated


class Judged(nn.Module):
    """A network and its losses: what the processes share is one function."""

    def __init__(self, network: HambaSmall, weights: LossWeights) -> None:
        super().__init__()
        self.network, self.weights = network, weights

    def forward(self, views: HandViews, truths: HandTruths) -> dict[str, Tensor]:
        """Return each weighted loss, and their sum as "loss"."""
        return hand_losses(self.network(views), truths, self.weights)


class Training:
    """One run in a folder. `run` goes on where its last checkpoint is, or begins."""

    def __init__(
        self,
        settings: TrainingSettings,
        network: HambaSmall,
        table: HandTable,
        kept_aside: HandTable,
        folder: Path,
        fabric: "Fabric | None" = None,
    ) -> None:
        """`fabric` joins this process with others; without it, the network is trained here alone."""
        self.settings, self.network, self.table, self.kept_aside = settings, network, table, kept_aside
        self.folder, self.fabric = folder, fabric or joined(settings.device)
        self._weights = settings.loss_weights()
        share_statistics(self.fabric, network)
        optimiser = torch.optim.AdamW(_groups(network, settings.weight_decay), betas=_BETAS)
        self._judged, self._optimiser = self.fabric.setup(Judged(network, self._weights), optimiser)
        self._random = torch.Generator().manual_seed(settings.seed)
        self._order = torch.empty(0, dtype=torch.long)
        self._step, self._seconds, self._loss = 0, 0.0, math.nan
        self._mean: RunningWeights

    def run(self, on_progress: Callable[[Progress], None] = lambda progress: None) -> Scores:
        """Train to the end; gives the last evaluation. Raises OutputError, WeightsError, ConfigurationError."""
        settings = self.settings
        path = self.folder / CHECKPOINT
        self._begin()
        if path.exists():
            self._resume(load_checkpoint(path, self.settings.hash()))
        curves = Curves(self.folder / CURVES, self._step, _LOSSES, _SCORES) if self.fabric.is_global_zero else None
        torch.manual_seed(settings.seed + 1000 * self._step + self.fabric.global_rank)  # dropout
        clock = time.process_time() - self._seconds
        scores: Scores | None = None
        while not self._is_over():
            losses = self._train_step()
            self._step += 1
            self._seconds = reduced(self.fabric, time.process_time() - clock, "max")
            loss = losses["loss"]
            self._loss = loss if math.isnan(self._loss) else _SMOOTHING * self._loss + (1 - _SMOOTHING) * loss
            due = self._is_over() or self._step % settings.evaluate_every == 0
            scores = self._evaluate() if due and self.fabric.is_global_zero else None
            if curves is not None:
                curves.add(self._step, self._seconds, losses, {} if scores is None else asdict(scores))
            if self.fabric.is_global_zero and (due or self._step % settings.checkpoint_every == 0):
                save_checkpoint(path, self._state())
            on_progress(Progress(self._step, settings.steps, self._seconds, self._loss, scores))
        self.fabric.barrier()
        self.network.load_state_dict(self._mean.state)
        self.network.eval()
        return scores or score(self.network, self.kept_aside)

    def _begin(self) -> None:
        initialise(self.network, self.settings.seed)
        if self.settings.start is not None:
            fill_small(self.network, self.settings.start)
            self._mean = RunningWeights(self.network, self.settings.average)
            return
        rows = torch.linspace(0, len(self.table) - 1, min(len(self.table), 4000)).long()
        self.network.learn_scales(self.table.views(rows))
        self._mean = RunningWeights(self.network, self.settings.average)

    def _is_over(self) -> bool:
        return self._share() >= 1

    def _share(self) -> float:
        """Of the run that is done."""
        by_steps = self._step / self.settings.steps
        minutes = self.settings.minutes
        return by_steps if minutes is None else max(by_steps, self._seconds / 60 / minutes)

    def _train_step(self) -> dict[str, float]:
        """Do one step, and return its losses."""
        settings = self.settings
        rate = settings.learning_rate * self._rate()
        for group in self._optimiser.param_groups:
            group["lr"] = rate
        rows = self._next_rows()
        mine = share(self.fabric, rows)
        self.network.train()
        self._optimiser.zero_grad()
        # What a hand counts is its share of the whole batch's importance, whichever process it falls to.
        part = self._weights.share(self.table.importance(mine), self.table.importance(rows))
        views, truths = self.fabric.to_device((self.table.views(mine), self.table.truths(mine)))
        with torch.autocast(self.fabric.device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            losses: dict[str, Tensor] = self._judged(views, truths)
        # Fabric takes the processes' mean.
        self.fabric.backward(losses["loss"] * (part * self.fabric.world_size))
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), settings.clip)
        if not torch.isfinite(norm):
            raise ConfigurationError(
                f"step {self._step}: expected finite gradients, found {float(norm)}; lower learning_rate, or train in "
                "float32"
            )
        self._optimiser.step()
        self._mean.add(self.network)
        return {name: reduced(self.fabric, float(loss.detach()) * part) for name, loss in losses.items()}

    def _rate(self) -> float:
        warm = min(1.0, (self._step + 1) / max(self.settings.warm_up, 1))
        falling = 0.5 * (1 + math.cos(math.pi * min(self._share(), 1)))
        return warm * (_LEAST_RATE + (1 - _LEAST_RATE) * falling)

    def _next_rows(self) -> Tensor:
        """Return the rows of the next batch: every hand once, in a new order each epoch."""
        size = min(self.settings.batch, len(self.table))
        if len(self._order) < size:
            self._order = torch.randperm(len(self.table), generator=self._random)
        if self._weights.agreement:  # half a batch of hands, and another look at each
            size = size // 2
        rows, self._order = self._order[:size], self._order[size:]
        return self.table.with_partners(rows) if self._weights.agreement else rows

    def _evaluate(self) -> Scores:
        """Return the running mean's scores."""
        self.network.eval()
        with self._mean.lent_to(self.network):
            return score(self.network, self.kept_aside)

    def _state(self) -> dict[str, Any]:
        return {
            "network": self.network.state_dict(),
            "mean": self._mean.state,
            "mean_steps": self._mean.steps,
            "optimiser": self._optimiser.state_dict(),
            "random": self._random.get_state(),
            "order": self._order,
            "step": self._step,
            "seconds": self._seconds,
            "loss": self._loss,
            "settings": self.settings.hash(),
            "hands": len(self.table),
        }

    def _resume(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self._optimiser.load_state_dict(state["optimiser"])
        self._mean.state, self._mean.steps = state["mean"], state["mean_steps"]
        self._random.set_state(state["random"])
        # Crops that came since the last piece are taken up with a new epoch.
        self._order = state["order"] if state["hands"] == len(self.table) else self._order
        self._step, self._seconds, self._loss = state["step"], state["seconds"], state["loss"]


def _groups(network: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Return the groups of parameters: matrices decay, vectors (biases, norms, gains) do not."""
    parameters = list(network.parameters())
    return [
        {"params": [p for p in parameters if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]


def progress_line(progress: Progress) -> str:
    """Return where a run is, in one line."""
    text = f"step {progress.step}/{progress.steps}  {progress.seconds:.0f} s  loss {progress.loss:.3f}"
    if progress.scores is None:
        return text
    found = asdict(progress.scores)
    return text + "".join(f"  {name} {value:.2f}" for name, value in found.items() if name != "hands")
