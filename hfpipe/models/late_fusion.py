"""``late_fusion``: whole models as towers, each pooled and projected, fused late.

A tower is any encoder of texts or images that ``AutoModel`` knows, or a wrapper of hfpipe without
its last layer (a ``concat_mlp`` of metadata, a ``sequence`` …). The model is built of its config
alone; ``from_towers`` starts it from models that were trained before.

Cached towers. What a frozen tower gives is the same at each epoch, so it may be computed once, by
``tower_outputs`` in evaluation mode, and fed in place of the tower's inputs::

    batch[fed_as("tweet")] = {"pooled": (batch, dim), "present": (batch,)}

with equal logits. The key is not the tower's bare name: that may be an input's, which another tower
reads as well. The boundary is the pooled vector, before the
projection; projection, fusion and head still learn, and ``modality_dropout`` acts behind it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from hfpipe.errors import UserError, nearest
from hfpipe.models.base import HfpipeConfig, HfpipeModel, check_name
from hfpipe.models.parts.batches import Batch, any_present, cast, check_input, presence
from hfpipe.models.parts.fusion import FUSIONS, drop_modalities
from hfpipe.models.parts.heads import mlp_head, projection
from hfpipe.models.parts.layers import part_of
from hfpipe.models.parts.lora import drop_lora, inject_lora, merge_lora
from hfpipe.models.parts.pretrained import load_tower, tower_spec
from hfpipe.models.parts.towers import BACKBONE_KINDS, Backbone, Nested


def fed_as(tower: str) -> str:
    """What the cached output of a tower is called in a batch; no input can have this name.

    >>> fed_as("tweet")
    'tower:tweet'
    """
    return f"tower:{tower}"


class LateFusionConfig(HfpipeConfig):
    """Config of ``LateFusionModel``.

    Attributes:
        inputs: Of any kind; every one must be taken by a tower.
        towers: Tower name → ``config`` (that of a transformers encoder or of an hfpipe wrapper,
            with its ``model_type``), ``inputs`` (names; an encoder takes one), ``pool`` (encoders:
            mean, max, first, pooler), ``lora`` (names of ``peft.LoraConfig``) and ``source``
            (where its weights once came from; for the record).
        projection_size: What each tower is brought to.
        fusion: ``concat`` or ``weighted``.
        sizes: Hidden layers of the head.
        modality_dropout: Chance, in training, that a tower of a row is taken for absent; never all
            of a row's.
    """

    model_type: ClassVar[str] = "hfpipe-late-fusion"

    towers: dict[str, dict[str, Any]] = field(default_factory=dict)
    projection_size: int = 256
    fusion: str = "concat"
    sizes: list[int] = field(default_factory=lambda: [256])
    modality_dropout: float = 0.0

    def __post_init__(self, **kwargs: Any) -> None:
        self.towers = {name: dict(tower) for name, tower in self.towers.items()}
        super().__post_init__(**kwargs)

    def check(self, kinds: tuple[str, ...]) -> None:
        """As in the base, and that towers and inputs fit each other.

        Raises:
            UserError: See above.
        """
        super().check(kinds)
        if not self.towers:
            raise UserError(f"{self.model_type}: no towers")
        if self.fusion not in FUSIONS:
            near = nearest(self.fusion, FUSIONS)
            raise UserError(f"{self.model_type}: no fusion is called '{self.fusion}'{near}")
        if not 0 <= self.modality_dropout < 1:
            raise UserError(
                f"{self.model_type}: modality_dropout={self.modality_dropout} is not in [0, 1)"
            )
        for name, tower in self.towers.items():
            check_name(name, f"{self.model_type}: tower")
            for each in tower.get("inputs", [name]):
                if each not in self.inputs:
                    near = nearest(each, self.inputs)
                    raise UserError(
                        f"{self.model_type}: tower '{name}' takes no known input '{each}'{near}"
                    )
        taken = {each for name in self.towers for each in self.inputs_of(name)}
        if left := sorted(set(self.inputs) - taken):
            raise UserError(f"{self.model_type}: no tower takes input '{left[0]}'")

    def inputs_of(self, tower: str) -> list[str]:
        """The inputs of a tower: that of its own name unless it says otherwise."""
        return sorted(self.towers[tower].get("inputs", [tower]))


def build_tower(config: LateFusionConfig, name: str) -> Backbone | Nested:
    """The tower that a config describes, with new weights and without adapters.

    Raises:
        UserError: No tower can be made of that.
    """
    place = f"{config.model_type}: tower '{name}'"
    tower, inputs = config.towers[name], config.inputs_of(name)
    specs = {each: config.inputs[each] for each in inputs}
    given = tower.get("config") or {}
    if str(given.get("model_type", "")).startswith("hfpipe-"):
        return Nested({**given, "inputs": given.get("inputs") or specs}, place)
    kinds = {spec["kind"] for spec in specs.values()}
    if len(inputs) != 1 or not kinds <= set(BACKBONE_KINDS):
        raise UserError(f"{place}: an encoder takes one input, a text or an image")
    return Backbone(given, inputs, tower.get("pool", "mean"), place)


class LateFusionModel(HfpipeModel):
    """Towers → projections (Linear, GELU, LayerNorm) → concat or weighted sum → head.

    Which towers are absent is read from the batch: one whose inputs are all absent counts as
    absent itself, and is replaced by a learned vector (concat) or has weight 0 (weighted).
    Groups: those of each tower, ``fusion`` (projections included), ``head``. A tower that is an
    encoder has ``towers.<name>.embeddings``, ``towers.<name>.layers.0`` …, ``towers.<name>.base``
    and, with adapters, ``towers.<name>.lora``; a wrapper is one group, ``towers.<name>``.
    """

    config_class = LateFusionConfig
    supports_gradient_checkpointing = True

    def __init__(self, config: LateFusionConfig) -> None:
        from hfpipe.models.registration import register

        register()
        super().__init__(config)
        # Sorted, as config.json sorts its keys: the order must survive saving.
        self.names = sorted(config.towers)
        self.towers = nn.ModuleDict({name: build_tower(config, name) for name in self.names})
        size = config.projection_size
        projections = {name: projection(self.towers[name].size, size) for name in self.names}
        joined = FUSIONS[config.fusion](len(self.names), size)
        self.fusion = nn.ModuleDict({"project": nn.ModuleDict(projections), "join": joined})
        self.head = mlp_head(joined.size, config.sizes, config.logits, config.dropout)
        self.dropout = nn.Dropout(config.dropout)
        self.post_init()
        for name in self.names:
            if config.towers[name].get("lora"):
                self._inject(name)

    def encode(self, inputs: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """The fused vector, and the weights of the towers where the fusion has such."""
        pooled = self.tower_outputs(inputs)
        present = torch.stack([self.tower_present(name, inputs) for name in self.names], dim=1)
        if self.training and self.config.modality_dropout:
            present = drop_modalities(present, self.config.modality_dropout)
        project = self.fusion["project"]
        stacked = torch.stack([project[name](pooled[name]) for name in self.names], dim=1)
        return self.fusion["join"](self.dropout(stacked), present)

    def tower_outputs(self, inputs: Batch) -> dict[str, Tensor]:
        """Tower → ``(batch, dim)``, taken from the batch where it was cached.

        What may be cached, if the model was in evaluation mode.
        """
        # Not the dtype of the head: as a tower itself, this model has lost its last layer.
        inputs = cast(inputs, next(self.fusion.parameters()).dtype)
        return {
            name: inputs[fed_as(name)]["pooled"] if self._cached(name, inputs) else tower(inputs)
            for name, tower in self.towers.items()
        }

    def tower_present(self, name: str, inputs: Batch) -> Tensor:
        """Rows that have at least one of a tower's inputs: ``(batch,)`` bool."""
        if self._cached(name, inputs):
            return presence(inputs[fed_as(name)])
        return any_present(inputs, self.towers[name].inputs)

    def _cached(self, name: str, inputs: Batch) -> bool:
        return fed_as(name) in inputs

    def check_batch(self, inputs: Batch) -> None:
        """Make sure that a batch has what each tower needs, or its cached output.

        Raises:
            UserError: Naming the input, or the row that no tower can see anything of.
        """
        for name in self.names:
            tower = self.towers[name]
            if not self._cached(name, inputs):
                for each in tower.inputs:
                    check_input(inputs, each, self.config.inputs[each])
            elif (found := inputs[fed_as(name)]["pooled"].shape[-1]) != tower.size:
                raise UserError(
                    f"tower '{name}': its cached output has dimension {found}, not {tower.size}"
                )
        # Looking at values would break the graph of a compiled model.
        if torch.compiler.is_compiling():
            return
        present = torch.stack([self.tower_present(name, inputs) for name in self.names], dim=1)
        if not present.any(dim=1).all():
            row = int((~present.any(dim=1)).nonzero()[0])
            raise UserError(
                f"row {row} of the batch has an input for none of the towers "
                f"{', '.join(self.names)}: nothing to predict from; drop such rows"
            )

    def group_of(self, name: str) -> str:
        """As in the base; within an encoder as in a stock model."""
        group = super().group_of(name)
        first, tower, *rest = *name.split("."), ""
        if first != "towers" or not isinstance(self.towers[tower], Backbone):
            return group
        return f"towers.{tower}.{part_of('.'.join(rest))}"

    def cache_boundary(self) -> dict[str, list[str]]:
        """Tower → its groups: once they are frozen, ``tower_outputs`` stay as they are."""
        groups = self.parameter_groups()
        return {
            name: [each for each in groups if f"{each}.".startswith(f"towers.{name}.")]
            for name in self.names
        }

    def add_lora(self, tower: str, options: Mapping[str, Any]) -> None:
        """Put new adapters on a tower, whose own weights are frozen.

        Args:
            tower: Its name.
            options: Names of ``peft.LoraConfig``.

        Raises:
            UserError: There is no such tower, it has adapters, or PEFT refuses the options.
        """
        if tower not in self.towers:
            raise UserError(f"no tower is called '{tower}'{nearest(tower, self.names)}")
        if self.config.towers[tower].get("lora"):
            raise UserError(f"tower '{tower}' has adapters: merge_lora first")
        self.config.towers[tower]["lora"] = dict(options)
        self._inject(tower)

    def _inject(self, tower: str) -> None:
        place = f"{self.config.model_type}: tower '{tower}': lora"
        inject_lora(self.towers[tower].backbone, self.config.towers[tower]["lora"], place)

    def merge_lora(self) -> int:
        """Fold all adapters into the towers' weights: the same outputs, no adapters.

        Returns:
            How many modules had an adapter.
        """
        return self._without_lora(merge_lora)

    def drop_lora(self) -> int:
        """Take all adapters off the towers, whose own weights stay as they are.

        Returns:
            How many modules had an adapter.
        """
        return self._without_lora(drop_lora)

    def _without_lora(self, remove: Callable[[nn.Module], int]) -> int:
        for name in self.names:
            self.config.towers[name].pop("lora", None)
        return sum(remove(self.towers[name].backbone) for name in self.names)

    @classmethod
    def from_towers(
        cls,
        towers: Mapping[str, PreTrainedModel | str | Path],
        *,
        inputs: Mapping[str, Mapping[str, Any]] | None = None,
        options: Mapping[str, Mapping[str, Any]] | None = None,
        loading: Mapping[str, Mapping[str, Any]] | None = None,
        **config: Any,
    ) -> LateFusionModel:
        """A fusion of models that were trained before; only projections, fusion and head are new.

        Args:
            towers: Name → a model, a folder or a repo id. A classifier gives its encoder, a wrapper
                of hfpipe all but its last layer.
            inputs: Input specs; an encoder's input is called as its tower unless ``options`` say
                otherwise, a wrapper's inputs are those of its config.
            options: Tower name → ``inputs``, ``pool``, ``lora``.
            loading: Tower name → ``revision``, ``token``, … for ``from_pretrained``.
            **config: The rest of ``LateFusionConfig``.

        Raises:
            UserError: A tower cannot be loaded, or is of another type than its input.
        """
        from hfpipe.models.registration import register

        register()
        specs = {name: dict(spec) for name, spec in (inputs or {}).items()}
        described, states = {}, {}
        for name, source in towers.items():
            chosen = dict((options or {}).get(name, {}))
            keywords = dict((loading or {}).get(name, {}))
            model, origin = load_tower(name, source, chosen, specs, keywords)
            described[name] = tower_spec(name, model, chosen, specs) | origin
            states[name] = model.state_dict()
        lora = {name: tower.pop("lora", None) for name, tower in described.items()}
        fused = cls(LateFusionConfig(inputs=specs, towers=described, **config))
        for name, state in states.items():
            fused.towers[name].take(state)
        for name in (name for name in described if lora[name]):
            fused.add_lora(name, lora[name])
        return fused
