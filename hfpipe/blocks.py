"""The blocks of a recipe, as types: every key that its YAML may have."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

LEAKS = "near-duplicate in train"
"""The slice of an evaluation that tells rows apart which train has, too."""
LEAKED, CLEAN = "leaked", "clean"
"""Its values."""
CONDITIONS = ("length of ", "missing: ", "rows of the group")
"""How the columns of the other automatic slices begin."""


@dataclass
class Prepare:
    """``prepare:``: raw rows to a dataset repo. The flags of ``hfpipe prepare`` win over it."""

    text: list[str] = field(default_factory=list)
    label: str | None = None
    task: str = "classification"
    map_labels: dict[str, str] = field(default_factory=dict)
    id_column: str | None = None
    join: str | None = None
    join_on: str | None = None
    where: list[str] = field(default_factory=list)
    latest_by: str | None = None
    latest_key: list[str] = field(default_factory=list)
    explode: str | None = None
    gather_by: list[str] = field(default_factory=list)
    drop_columns: list[str] = field(default_factory=list)
    leakage_columns: list[str] = field(default_factory=list)
    clean: bool = True
    steps: list[Any] = field(default_factory=lambda: ["unicode", "control_characters"])
    conflicts: str = "report"
    threshold: float = 0.9
    policy: str = "kept"
    drop_labels: list[str] = field(default_factory=list)
    min_count: int = 0
    reduce_majority_to: float | None = None
    cap: int | None = None
    split: str = "stratified"
    split_column: str | None = None
    splits_file: str | None = None
    group_by: str | None = None
    time_column: str | None = None
    gap: str | None = None
    clusters: bool = True
    folds: int = 0
    sizes: list[float] = field(default_factory=lambda: [0.8, 0.1, 0.1])
    seed: int = 42
    encode: dict[str, Any] = field(default_factory=dict)
    vectors: dict[str, Any] = field(default_factory=dict)
    format: str = "parquet"
    max_bad_rows: float = 0.001
    audit: bool = True
    audit_rows: int = 20_000


@dataclass
class Input:
    """One named input of a model: its kind, and the columns it is made of.

    Without ``columns``, a text uses those that ``hfpipe prepare`` recorded in the dataset repo.

    Attributes:
        kind: A module of ``hfpipe/inputs/kinds``.
        columns: What it is made of.
        max_length: Text: longer ones are cut to so many tokens.
        optional: Text, vector, image: rows may lack it, and the model is told which do.
        log1p: Numeric: true, or the columns, whose ``log(1 + x)`` is used.
        max_categories: Categorical: a column with more categories is refused.
        max_steps: Vector sequence: only the first so many vectors are used; none for all.
        augment: Image: changes made at random while training, as ``horizontal_flip``.
    """

    kind: str = "text"
    columns: list[str] = field(default_factory=list)
    max_length: int = 512
    optional: bool = False
    log1p: Any = False
    max_categories: int = 1000
    max_steps: int | None = None
    augment: list[str] = field(default_factory=list)


@dataclass
class Data:
    """``data:``: which dataset repo, which columns go in, which one is to be predicted.

    Attributes:
        dataset: ``NAMESPACE/NAME[@REVISION]``.
        inputs: Input name → block. Empty for a model of towers that bring their own inputs.
        label: The column to predict; by default the one that the dataset was prepared with.
        task: ``classification``, ``binary``, ``multi_label`` or ``regression``; by default what
            the dataset was prepared for.
        positive: Binary: the positive class; by default the one called 1, true, yes or positive,
            else the rarer.
        log1p: Regression: whether ``log(1 + y)`` is learned.
    """

    dataset: str | None = None
    inputs: dict[str, Input] = field(default_factory=lambda: {"text": Input()})
    label: str | None = None
    task: str | None = None
    positive: str | None = None
    log1p: bool = False


@dataclass
class Tower:
    """A tower of a ``late_fusion``: a model that was trained before.

    Attributes:
        model: Its repo, ``NAMESPACE/NAME[@REVISION]``: pushed by hfpipe, or any encoder.
        inputs: What it reads; by default what it was trained with, else the input of its name.
        pool: Encoders: ``mean``, ``max``, ``first`` or ``pooler`` over the steps.
        lora: Adapters to train on it: names of ``peft.LoraConfig``.
    """

    model: str = ""
    inputs: list[str] = field(default_factory=list)
    pool: str = "mean"
    lora: dict[str, Any] = field(default_factory=dict)


@dataclass
class Loss:
    """``model.loss``: what is minimised, with weights computed from the train split.

    Attributes:
        name: ``cross_entropy``, ``bce``, ``focal``, ``mse`` or ``huber``; by default the first
            one that the task has.
        class_weights: Multi-class: ``balanced``, ``effective``, ``focal`` or ``sqrt``.
        pos_weight: Binary and multi-label: the same names, or a number.
        label_smoothing: From 0 to below 1.
        focal_gamma: Of the focal loss.
        huber_delta: Of the Huber loss.
    """

    name: str | None = None
    class_weights: str | None = None
    pos_weight: Any = None
    label_smoothing: float = 0.0
    focal_gamma: float | None = None
    huber_delta: float | None = None


@dataclass
class Model:
    """``model:``: the kind of model, what it starts from, and what is minimised.

    Attributes:
        kind: A key of ``hfpipe.models.families.FAMILIES``.
        base: Pretrained encoder of a stock kind; of ``profile``, a pushed sequence model.
        revision: Of ``base``.
        dropout: Of all that is new; a stock base keeps its own rates unless given.
        scratch: Stock kinds without ``base``: the config of a model with new weights.
        config: Own kinds: names of the model's config, as ``sizes`` or ``hidden_size``.
        towers: ``late_fusion``: its towers.
        freeze: Parameter groups that do not learn, as ``towers.tweet``.
        lora: Stock kinds: adapters to train, names of ``peft.LoraConfig``.
        push: With adapters: ``merged``, or ``adapter`` for them alone.
        loss: See ``Loss``.
    """

    kind: str = "sequence_classification"
    base: str = ""
    revision: str | None = None
    dropout: float | None = None
    scratch: dict[str, Any] = field(default_factory=dict)
    config: dict[str, Any] = field(default_factory=dict)
    towers: dict[str, Tower] = field(default_factory=dict)
    freeze: list[str] = field(default_factory=list)
    lora: dict[str, Any] = field(default_factory=dict)
    push: str = "merged"
    loss: Loss = field(default_factory=Loss)


@dataclass
class Group:
    """How a group of parameters learns in a stage.

    Attributes:
        learning_rate: By default that of ``training``.
        weight_decay: By default that of ``training``; of adapters 0. Biases and norms have none.
        times: How many times the rate of ``training``, in place of a rate; in short ``10x``.
    """

    learning_rate: float | None = None
    weight_decay: float | None = None
    times: float | None = None


@dataclass
class Stopping:
    """``early_stopping:``: when a stage ends before its last epoch.

    Attributes:
        metric: Of validation; by default ``training.metric_for_best_model``.
        patience: So many evaluations in turn without a better one end it; 0 never does.
        min_epochs: Not before so many.
        epsilon: Metrics no further apart are even: then the lower validation loss is better.
    """

    metric: str | None = None
    patience: int = 0
    min_epochs: float = 0.0
    epsilon: float = 0.0


@dataclass
class Stage:
    """One of ``stages:``: what learns, how, and until when; it starts from the best weights so far.

    Attributes:
        groups: Name of a parameter group, or of several (``layers``, ``layers.[345]``), to its
            ``Group``; all else is frozen. Empty for all that ``model.freeze`` leaves.
        layer_decay: Each layer learns at this share of the rate of the one above it.
        lora: ``on`` puts adapters of ``model.lora`` on, ``merged`` folds them into the weights,
            ``off`` takes them away; by default they stay as they are.
        early_stopping: See ``Stopping``; by default that of the recipe.
        training: Names of ``TrainingArguments`` that differ from the recipe's ``training``.
    """

    groups: dict[str, Group] = field(default_factory=dict)
    layer_decay: float | None = None
    lora: str | None = None
    early_stopping: Stopping | None = None
    training: dict[str, Any] = field(default_factory=dict)


@dataclass
class Batches:
    """``batches:``: how the rows of an optimizer step are cut up for the device.

    The step itself has as many rows as ``per_device_train_batch_size``,
    ``gradient_accumulation_steps`` and the number of devices say, whatever is set here.

    Attributes:
        max_tokens: Of a micro-batch, padding included, with as many rows as that allows; by default
            a step is cut up by rows alone (``per_device_train_batch_size``). Either way into
            smaller parts once it does not fit into memory.
        cache: Whether the outputs of what is frozen are computed once and kept on disk.
    """

    max_tokens: int | None = None
    cache: bool = True


@dataclass
class Evaluation:
    """``evaluation:``: how the pushed model is scored.

    In float32 unless ``bf16`` says otherwise, so that whoever loads the model finds the same
    scores on any machine.

    Attributes:
        batch_size: At most so many rows a batch.
        max_tokens: At most so many tokens a batch, padding included; by default what suits the
            device.
        bf16: See above.
        baselines: Whether simple models are scored beside it.
        threshold_for: What the decision threshold is best for on validation: ``f1``, ``f2``,
            ``youden``, ``precision_at_recall=0.9``, ``cost=1:5``, and others.
        calibrate: Whether probabilities are calibrated on validation, where that helps.
        resamples: Of the bootstrap that the intervals come from; 0 for none.
        slices: Columns: the metrics of each of their values, apart.
        automatic_slices: Whether rows are sliced by length, by missing inputs, by the size of their
            group and by whether train has a near-duplicate, and the worst slices sought.
        group_by: ``profile``: the column that says whose row it is.
    """

    batch_size: int = 256
    max_tokens: int | None = None
    bf16: bool = False
    baselines: bool = True
    threshold_for: str = "f1"
    calibrate: bool = True
    resamples: int = 1000
    slices: list[str] = field(default_factory=list)
    automatic_slices: bool = True
    group_by: str | None = None


@dataclass
class Suite:
    """``suite:``: many runs as one; see ``hfpipe.suites``.

    Attributes:
        recipes: Those to run.
        vary: Recipe key → values; every combination is a run of every recipe.
        folds: Of the out-of-fold predictions that are stacked; 0 for no stacking.
        repeats: How often the folds are drawn.
        mirror: An fsspec URL (``s3://bucket/folder``) that gets a copy of all artifacts.
    """

    recipes: list[str] = field(default_factory=list)
    vary: dict[str, list[Any]] = field(default_factory=dict)
    folds: int = 5
    repeats: int = 3
    mirror: str | None = None


@dataclass
class Recipe:
    """A whole recipe.

    ``training`` takes the names of ``transformers.TrainingArguments``; ``rates`` names parameter
    groups that learn at other rates, where no stage says which groups learn. Without ``stages``
    there is one, in which all learns that ``model.freeze`` leaves.
    """

    name: str = ""
    description: str = ""
    prepare: Prepare = field(default_factory=Prepare)
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    training: dict[str, Any] = field(default_factory=dict)
    rates: dict[str, Group] = field(default_factory=dict)
    early_stopping: Stopping = field(default_factory=Stopping)
    stages: dict[str, Stage] = field(default_factory=dict)
    batches: Batches = field(default_factory=Batches)
    evaluation: Evaluation = field(default_factory=Evaluation)
    suite: Suite = field(default_factory=Suite)
