"""Sequences of vectors to a yes or no, an author's many sequences to one: the Python names.

The names are those that the sequence package documents; behind them are this house's models,
collator, loss and metrics, and the stock Trainer. What stays in memory here, ``hfpipe finetune``
takes from a dataset repo and pushes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, TypeVar

from hfpipe.errors import UserError
from hfpipe.inputs.collator import Collator
from hfpipe.inputs.sequence_rows import Data, SequenceRows, sequence_processor
from hfpipe.metrics.aggregation import compare_aggregations
from hfpipe.metrics.binary import THRESHOLD
from hfpipe.metrics.scores import Floats
from hfpipe.metrics.tasks import Metrics
from hfpipe.metrics.thresholds import calculate_metrics_threshold
from hfpipe.models.class_weights import estimate_pos_weight
from hfpipe.models.losses import check_loss
from hfpipe.models.parts.pretrained import load_tower
from hfpipe.models.profile import ProfileModel
from hfpipe.models.sequence import SequenceConfig, SequenceModel
from hfpipe.training.predict import predict_outputs
from hfpipe.training.sequence_trainer import BINARY, TrainResult, sequence_trainer

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = [
    "ProfileClassifier",
    "SequenceClassifier",
    "TrainResult",
    "calculate_metrics_threshold",
    "compare_aggregation_methods",
    "estimate_pos_weight",
    "evaluate_profile_classifier",
    "test_model",
    "train_model",
]

Model = TypeVar("Model", bound="PreTrainedModel")


def SequenceClassifier(  # noqa: N802 - the documented name
    input_size: int = 256,
    hidden_size: int = 256,
    num_layers: int = 2,
    num_heads: int = 8,
    dropout: float = 0.3,
    kernel_sizes: Sequence[int] = (3, 5, 7),
) -> SequenceModel:
    """A new sequence model for a yes or no; its weights are drawn from torch's global seed.

    Args:
        input_size: Numbers a vector.
        hidden_size: Of everything behind the input projection; inside, layers are four times as
            wide.
        num_layers: Transformer layers.
        num_heads: Attention heads; they must divide ``hidden_size``.
        dropout: Everywhere.
        kernel_sizes: Odd, one convolution each.

    >>> model = SequenceClassifier(input_size=4, hidden_size=8, num_heads=2)
    >>> isinstance(model, SequenceModel), model.config.kernel_sizes
    (True, [3, 5, 7])

    Raises:
        UserError: Sizes that do not fit each other.
    """
    return SequenceModel(
        SequenceConfig(
            inputs={"sequence": {"kind": "vector_sequence", "dim": input_size}},
            hidden_size=hidden_size,
            num_layers=num_layers,
            num_heads=num_heads,
            feedforward_size=4 * hidden_size,
            dropout=dropout,
            kernel_sizes=list(kernel_sizes),
        )
    )


def ProfileClassifier(  # noqa: N802 - the documented name
    sequence_classifier: SequenceModel | str | Path,
    threshold: float = THRESHOLD,
    aggregation: str = "mean",
) -> ProfileModel:
    """A profile model with a copy of the weights of a trained sequence model.

    Args:
        sequence_classifier: The model, a folder or a repo id.
        threshold: From which probability on a sequence votes, and from which mean or median on an
            author counts as positive.
        aggregation: ``mean``, ``median``, ``mean_vote`` or ``total_vote``.

    Raises:
        UserError: Another kind of model, or no such aggregation.
    """
    return ProfileModel.from_sequence(
        sequence_classifier, threshold=threshold, aggregation=aggregation
    )


def train_model(
    model: SequenceModel | str | Path,
    train: Data,
    validation: Data,
    *,
    num_epochs: int = 50,
    learning_rate: float = 1e-4,
    batch_size: int = 256,
    pos_weight: str | float | None = "balanced",
    patience: int = 5,
    seed: int = 42,
    out: str | Path | None = None,
    quiet: bool = False,
) -> TrainResult:
    """Train a sequence model; keep the epoch with the best validation F1 at its best threshold.

    The optimizer is AdamW, as the Trainer sets it up; the learning rate is halved where F1 has not
    risen for ``patience`` epochs. Trained in place.

    Args:
        model: A new model, one to go on with, a folder or a repo id.
        train: See ``Data``; groups are not looked at.
        validation: Likewise.
        num_epochs: Passes over ``train``.
        learning_rate: At the start.
        batch_size: Sequences a step.
        pos_weight: What a positive row weighs in the loss: a number, None for 1, or a method of
            ``estimate_pos_weight`` over the train labels. It stands in the model's config.
        patience: Epochs.
        seed: Of the order of the rows and of dropout.
        out: A folder to save the best weights and the processor to.
        quiet: No progress bars.

    Raises:
        UserError: Before any step: a row that cannot be used, a split with one class only, an
            unknown method, a setting outside its range.
    """
    _check_numbers(num_epochs=num_epochs, learning_rate=learning_rate, batch_size=batch_size)
    network = _loaded(model, SequenceModel)
    rows = [SequenceRows.read(train, "train"), SequenceRows.read(validation, "validation")]
    for each in rows:
        each.check_both_classes()
    weight = pos_weight
    if isinstance(pos_weight, str):
        weight = estimate_pos_weight(rows[0].labels, pos_weight)
    check_loss(SimpleNamespace(problem_type="binary", pos_weight=weight))
    processor = sequence_processor(network.config.inputs)
    collator = Collator(processor, {})
    splits = (rows[0].encode(processor), rows[1].encode(processor))
    folder = None if out is None else _made(Path(out))
    network.config.pos_weight = weight
    settings = {
        "num_train_epochs": num_epochs,
        "learning_rate": learning_rate,
        "per_device_train_batch_size": batch_size,
        "per_device_eval_batch_size": batch_size,
        "lr_scheduler_kwargs": {"mode": "max", "factor": 0.5, "patience": patience},
        "seed": seed,
    }
    with tempfile.TemporaryDirectory() as scratch:
        trainer = sequence_trainer(network, collator, scratch, settings, splits, quiet=quiet)
        trainer.train()
    network.eval()
    if folder is not None:
        network.save_pretrained(folder)
        processor.save(folder)
    return TrainResult.of(trainer, network, folder)


def test_model(
    model: SequenceModel | str | Path,
    data: Data,
    threshold: float = THRESHOLD,  # noqa: PT028 - not a test
    *,
    batch_size: int = 256,  # noqa: PT028
) -> Metrics:
    """The metrics of a sequence model, each sequence for itself.

    Args:
        model: The model, a folder or a repo id.
        data: See ``Data``; groups are not looked at.
        threshold: A sequence counts as positive from this probability on: that of ``train_model``.
        batch_size: Sequences at a time.

    Returns:
        Those of ``hfpipe.metrics.tasks.Binary`` and ``threshold``.

    Raises:
        UserError: A row that cannot be used.
    """
    rows = SequenceRows.read(data, "data")
    scores = _scores(_loaded(model, SequenceModel), rows, batch_size)
    return BINARY.metrics(rows.labels, scores, threshold) | {"threshold": threshold}


test_model.__test__ = False  # type: ignore[attr-defined]  # not one for pytest


def evaluate_profile_classifier(
    profile: ProfileModel | str | Path,
    data: Data,
    threshold: float | None = None,
    *,
    batch_size: int = 256,
) -> Metrics:
    """The metrics of a profile model over groups, by its own aggregation.

    Args:
        profile: The model, a folder or a repo id.
        data: See ``Data``, with a group for every sequence.
        threshold: In place of the model's own.
        batch_size: Sequences at a time; groups may be larger.

    Returns:
        Those of ``hfpipe.metrics.binary``, and ``threshold``: from which score on a group counts
        as positive, 0.5 where sequences vote.

    Raises:
        UserError: A row that cannot be used, no groups, a group of both classes.
    """
    model = _loaded(profile, ProfileModel)
    table = compare_aggregation_methods(model, data, threshold, batch_size=batch_size)
    return table[model.config.aggregation]


def compare_aggregation_methods(
    model: SequenceModel | ProfileModel | str | Path,
    data: Data,
    threshold: float | None = None,
    *,
    batch_size: int = 256,
) -> dict[str, Metrics]:
    """The metrics of all four aggregations over groups, from one pass of the sequence model.

    Args:
        model: A sequence or profile model, a folder or a repo id.
        data: See ``Data``, with a group for every sequence.
        threshold: From which probability on a sequence votes, and from which mean or median on a
            group counts as positive; None: the profile model's own, and 0.5 of a sequence model.
        batch_size: Sequences at a time.

    Returns:
        Aggregation to metrics; see ``hfpipe.metrics.aggregation.compare_aggregations``.

    Raises:
        UserError: A row that cannot be used, no groups, a group of both classes.
    """
    rows = SequenceRows.read(data, "data")
    owners = rows.owners()
    found = _loaded(model, SequenceModel, ProfileModel)
    profile = isinstance(found, ProfileModel)
    if threshold is None:
        threshold = found.config.threshold if profile else THRESHOLD
    network = found.sequence if profile else found
    return compare_aggregations(rows.labels, _scores(network, rows, batch_size), owners, threshold)


def _loaded(source: Model | str | Path, *kinds: type[Model]) -> Model:
    """A model of one of ``kinds``, for a yes or no.

    Raises:
        UserError: It is another one, or cannot be loaded.
    """
    named = isinstance(source, str | Path)
    model = load_tower("sequence", source, {}, {}, {})[0] if named else source
    if not isinstance(model, kinds):
        wanted = " or ".join(each.__name__ for each in kinds)
        raise UserError(f"it takes a {wanted}, not a {type(model).__name__}")
    if model.config.problem_type != "binary":
        raise UserError(f"it takes a binary model, not one for {model.config.problem_type}")
    return model


def _scores(model: SequenceModel, rows: SequenceRows, batch_size: int) -> Floats:
    """``(rows,)`` probability of 1, in order."""
    processor = sequence_processor(model.config.inputs)
    encoded, collator = rows.encode(processor), Collator(processor, {})
    said = predict_outputs(model, collator, encoded, BINARY, batch_size, quiet=True)
    return BINARY.scores(said.logits)


def _check_numbers(**numbers: float) -> None:
    for name, value in numbers.items():
        if not 0 < value < float("inf"):
            raise UserError(f"{name}={value}: it must be above 0")


def _made(folder: Path) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"out={folder}: {error.strerror or error}") from error
    return folder
