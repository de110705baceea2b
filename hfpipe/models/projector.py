"""A small network that learns which directions of a fused vector tell the target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from hfpipe.errors import RunError, UserError

FILE = "projector.safetensors"
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ProjectorTraining:
    """How the projector learns.

    Attributes:
        hidden: Width of its first layer.
        out: Width of what it gives.
        dropout: After the first layer.
        noise_dropout: Of its input.
        learning_rate: Of AdamW.
        weight_decay: Of AdamW.
        batch_size: Rows a step.
        epochs: At most so many passes.
        patience: Passes without a better held-out error before it stops.
    """

    hidden: int = 256
    out: int = 128
    dropout: float = 0.5
    noise_dropout: float = 0.5
    learning_rate: float = 1e-3
    weight_decay: float = 0.1
    batch_size: int = 128
    epochs: int = 40
    patience: int = 5


class Projector(nn.Module):
    """Standardised vector → hidden → out, and a linear head that is needed for training only."""

    def __init__(self, dim: int, training: ProjectorTraining) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("scale", torch.ones(dim))
        self.body = nn.Sequential(
            nn.Dropout(training.noise_dropout),
            nn.Linear(dim, training.hidden),
            nn.GELU(),
            nn.Dropout(training.dropout),
            nn.Linear(training.hidden, training.out),
        )
        self.head = nn.Sequential(nn.GELU(), nn.Linear(training.out, 1))

    def forward(self, vectors: Tensor) -> Tensor:
        """Project (batch, dim) to (batch, out)."""
        return self.body((vectors - self.mean) / self.scale)

    def predict(self, vectors: Tensor) -> Tensor:
        """The standardised target, (batch,), of (batch, dim)."""
        return self.head(self(vectors)).squeeze(-1)


def train_projector(
    vectors: Floats,
    targets: Floats,
    held_out: tuple[Floats, Floats],
    training: ProjectorTraining,
    seed: int,
) -> Projector:
    """Fit a projector with the squared error; its best weights on the held-out rows are kept.

    The same seed gives the same weights, however many cores there are: it runs on one thread, which
    on busy cores is quicker too. Torch's random state and threads are left as they were.

    Args:
        vectors: (rows, dim) of the train rows.
        targets: (rows,).
        held_out: Vectors and targets of other rows, which say when to stop.
        training: How.
        seed: Of initialisation, order and dropout.

    Raises:
        RunError: The loss is not finite.
    """
    with torch.random.fork_rng(devices=[]), _one_thread():
        torch.manual_seed(seed)
        model = Projector(vectors.shape[1], training)
        x, check_x = (torch.from_numpy(v.astype(np.float32)) for v in (vectors, held_out[0]))
        centre, spread = targets.mean(), targets.std() or 1.0
        y, check_y = (
            torch.from_numpy(((t - centre) / spread).astype(np.float32))
            for t in (targets, held_out[1])
        )
        model.mean.copy_(x.mean(dim=0))
        model.scale.copy_(x.std(dim=0, correction=0).clamp(min=1e-6))
        _descend(model, (x, y), (check_x, check_y), training)
    return model.eval()


@contextmanager
def _one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _descend(
    model: Projector,
    rows: tuple[Tensor, Tensor],
    held_out: tuple[Tensor, Tensor],
    training: ProjectorTraining,
) -> None:
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=training.learning_rate, weight_decay=training.weight_decay
    )
    best, kept, waited = float("inf"), model.state_dict(), 0
    for _ in range(training.epochs):
        model.train()
        for chosen in torch.randperm(len(rows[0])).split(training.batch_size):
            loss = nn.functional.mse_loss(model.predict(rows[0][chosen]), rows[1][chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        model.eval()
        with torch.no_grad():
            error = nn.functional.mse_loss(model.predict(held_out[0]), held_out[1]).item()
        if not np.isfinite(error):
            raise RunError("the projector's loss is not finite: lower its learning_rate")
        waited = 0 if error < best else waited + 1
        if error < best:
            best, kept = error, {k: v.clone() for k, v in model.state_dict().items()}
        if waited >= training.patience:
            break
    model.load_state_dict(kept)


def project(model: Projector, vectors: Floats, batch_size: int = 8192) -> Floats:
    """Projected (rows, out) of (rows, dim), batch by batch."""
    with torch.no_grad(), _one_thread():
        parts = [
            model(torch.from_numpy(vectors[start : start + batch_size].astype(np.float32)))
            for start in range(0, len(vectors), batch_size)
        ]
    empty = np.empty((0, model.body[-1].out_features))
    return np.concatenate([empty, *(part.numpy() for part in parts)]).astype(np.float64)


def save_projectors(models: Sequence[Projector], folder: Path) -> None:
    """Write ``projector.safetensors``: all weights, with the projector's number before the name."""
    from safetensors.torch import save_file

    weights = {
        f"{number}.{name}": value.contiguous()
        for number, model in enumerate(models)
        for name, value in model.state_dict().items()
    }
    save_file(weights, folder / FILE)


def load_projectors(folder: Path) -> list[Projector]:
    """Read projectors back, ready to project; the widths are those of the weights.

    Raises:
        UserError: The file is missing or holds something else.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        weights = load_file(folder / FILE)
        return [
            _from_weights({k[len(mark) :]: v for k, v in weights.items() if k.startswith(mark)})
            for mark in (f"{number}." for number in range(_count(weights)))
        ]
    except (OSError, SafetensorError, KeyError, ValueError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:160]
        raise UserError(f"{folder / FILE} holds no projectors: {cause}") from error


def _count(weights: Iterable[str]) -> int:
    return 1 + max((int(name.split(".")[0]) for name in weights), default=-1)


def _from_weights(weights: dict[str, Tensor]) -> Projector:
    hidden, dim = weights["body.1.weight"].shape
    model = Projector(dim, ProjectorTraining(hidden=hidden, out=len(weights["body.4.bias"])))
    model.load_state_dict(weights)
    return model.eval()
