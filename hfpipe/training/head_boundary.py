"""A stock classifier below its head: what its frozen encoder gives, as one vector a row.

Heads read the pooler's output, the first token or the mean of all tokens, and nobody says which.
So each is tried: the vector takes the place of the encoder's output, and the logits must stay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutputWithPooling

from hfpipe.inputs.collator import Collator
from hfpipe.models.base import HfpipeModel
from hfpipe.models.parts.towers import tower_config
from hfpipe.training.cached_rows import Feed

ARGUMENTS = {"text": "inputs_embeds", "image": "pixel_values"}
"""Input kind → the argument by which a head lets the vector through to its encoder."""
TOLERANCE = 1e-5
NOT_FITTING = (RuntimeError, ValueError, TypeError, AttributeError, IndexError)


def _pooler(output: Any, mask: Tensor | None) -> Tensor | None:
    found: Tensor | None = getattr(output, "pooler_output", None)
    return found


def _first(output: Any, mask: Tensor | None) -> Tensor | None:
    steps: Tensor = output.last_hidden_state
    return steps[:, 0]


def _mean(output: Any, mask: Tensor | None) -> Tensor | None:
    steps: Tensor = output.last_hidden_state
    if mask is None:
        return steps.mean(dim=1)
    weights = mask.unsqueeze(-1).to(steps.dtype)
    return (steps * weights).sum(dim=1) / weights.sum(dim=1)


REDUCTIONS: Mapping[str, Callable[[Any, Tensor | None], Tensor | None]] = {
    "pooler": _pooler,
    "first": _first,
    "mean": _mean,
}
"""Encoder's output and attention mask → ``(batch, dim)``."""


@dataclass
class HeadBoundary:
    """The encoder of a stock classifier, all of it frozen.

    Attributes:
        model: The classifier, without a wrapper around it.
        encoder: Its part below the head.
        name: Of the one input.
        argument: See ``ARGUMENTS``.
        variant: The reduction that fits the head; None until it is known.
        proven: See ``Boundary``.
    """

    model: PreTrainedModel
    encoder: nn.Module
    name: str
    argument: str
    variant: str | None = None
    proven: bool = False

    @property
    def inputs(self) -> list[str]:
        """The input that it reads."""
        return [self.name]

    @property
    def key(self) -> str:
        """That of the input, whose place the vector takes."""
        return self.name

    @property
    def module(self) -> nn.Module:
        """What holds the weights."""
        return self.encoder

    @property
    def variants(self) -> tuple[str, ...]:
        """What its vectors may be."""
        return (self.variant,) if self.variant else tuple(REDUCTIONS)

    @property
    def described(self) -> str:
        """All but weights that decides what the vectors are, and which ones its head reads."""
        config = tower_config(self.model.config)
        return json.dumps([type(self.model).__name__, config], sort_keys=True, default=str)

    def vectors(self, inputs: Mapping[str, Mapping[str, Tensor]]) -> tuple[Tensor, Tensor] | None:
        """``(batch, dim)`` and ``(batch,)`` of a batch; None where no vector stands in for it.

        The first batch tells which vector it is: it should have rows of several lengths.
        """
        batch = {key: each for key, each in inputs[self.name].items() if key != "present"}
        mask = batch.get("attention_mask")
        if self.variant is None:
            output = self._settle(batch, mask)
        else:
            output, _ = self._run(batch, {})
        if self.variant is None:
            return None
        found = REDUCTIONS[self.variant](output, mask)
        assert found is not None
        return found, inputs[self.name]["present"]

    def _settle(self, batch: Mapping[str, Tensor], mask: Tensor | None) -> Any:
        """Find the reduction with which the logits are the same; give the encoder's output."""
        head = _strange_head(self.model, self.encoder)
        output, logits = self._run(batch, head)
        steps = getattr(output, "last_hidden_state", None)
        if steps is None or (steps.ndim == 3 and steps.shape[1] < 2):
            return None  # of a single token, the first and the mean are one
        allowed = TOLERANCE * max(1.0, float(logits.abs().max()))
        for name, reduce in REDUCTIONS.items():
            try:
                vectors = reduce(output, mask)
                if vectors is None or vectors.ndim != 2:
                    continue
                with standing_in(self.encoder):
                    _, again = self._run(fed(self.argument, vectors), head)
                fits = bool((again - logits).abs().max() <= allowed)
            except NOT_FITTING:  # a head that reads something else of the output
                continue
            if fits:
                self.variant = name
                break
        return output

    def _run(self, batch: Mapping[str, Tensor], head: dict[str, Tensor]) -> tuple[Any, Tensor]:
        """What the encoder gives, called as the classifier calls it, and the logits."""
        seen: list[Any] = []
        handle = self.encoder.register_forward_hook(lambda _, __, output: seen.append(output))
        try:
            logits = functional_call(self.model, head, (), dict(batch)).logits
        finally:
            handle.remove()
        return seen[0], logits

    @property
    def feed(self) -> Feed:
        """What the classifier is given in place of its input."""
        return partial(fed, self.argument)

    @contextmanager
    def standing_in(self) -> Iterator[None]:
        """Let the encoder hand on kept vectors."""
        with standing_in(self.encoder):
            yield


def fed(argument: str, vectors: Tensor, present: Tensor | None = None) -> dict[str, Tensor]:
    """Vectors as a text or an image of one step.

    >>> fed("inputs_embeds", torch.zeros(2, 8))["inputs_embeds"].shape
    torch.Size([2, 1, 8])
    """
    return {argument: vectors.unsqueeze(1)}


def head_boundary(model: Any, collator: Collator) -> HeadBoundary | None:
    """The boundary of a stock classifier; None where its encoder learns, or its images vary."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if not isinstance(inner, PreTrainedModel) or isinstance(inner, HfpipeModel):
        return None
    if not collator.flat:
        return None
    ((name, kind),) = collator.processor.inputs.items()
    argument = ARGUMENTS.get(kind.schema()["kind"])
    encoder = inner.base_model
    if encoder is inner:  # SigLIP's classifier names no prefix for its encoder
        encoder = getattr(inner, "vision_model", None)
    if argument is None or encoder is None or getattr(kind, "augment", None):
        return None
    if any(each.requires_grad for each in encoder.parameters()):
        return None
    return HeadBoundary(inner, encoder, name, argument)


@contextmanager
def standing_in(encoder: nn.Module) -> Iterator[None]:
    """Inside the block an encoder that is given a kept vector ``(batch, 1, dim)`` returns it.

    What else it is given it encodes as ever. Weights and their names stay as they are.
    """
    real, own = encoder.forward, vars(encoder).get("forward")
    dtype = next(encoder.parameters()).dtype

    def forward(*args: Any, **kwargs: Any) -> Any:
        for each in (*args, *kwargs.values()):
            if _is_kept(each):
                steps = each.to(dtype)
                return BaseModelOutputWithPooling(
                    last_hidden_state=steps, pooler_output=steps[:, 0]
                )
        return real(*args, **kwargs)

    encoder.forward = forward
    try:
        yield
    finally:
        del encoder.forward
        if own is not None:
            encoder.forward = own


def _is_kept(given: Any) -> bool:
    """Tokens are whole numbers, and a batch of images has four dimensions."""
    return (
        isinstance(given, Tensor)
        and given.is_floating_point()
        and given.ndim == 3
        and given.shape[1] == 1
    )


def _strange_head(model: nn.Module, encoder: nn.Module) -> dict[str, Tensor]:
    """Other weights for a head: its own may be all zero, and any vector would do."""
    below = {id(each) for each in encoder.parameters()}
    random = np.random.default_rng(0)
    return {
        name: each.detach()
        + torch.from_numpy(0.1 * random.standard_normal(each.shape)).to(each.device, each.dtype)
        for name, each in model.named_parameters()
        if id(each) not in below
    }
