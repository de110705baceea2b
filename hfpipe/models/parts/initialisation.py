"""How weights start: Xavier for linear layers, Kaiming for convolutions, attention as it has it.

Sources: Glorot and Bengio 2010 (Xavier); He et al. 2015 (Kaiming); ``nn.MultiheadAttention`` sets
its joint projection by Xavier and its output projection as an ordinary ``nn.Linear`` does.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import nn
from torch.nn import init
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear


def _linear(module: nn.Module) -> None:
    init.xavier_uniform_(module.weight)
    if module.bias is not None:
        init.zeros_(module.bias)


def _convolution(module: nn.Module) -> None:
    init.kaiming_normal_(module.weight, nonlinearity="relu")
    if module.bias is not None:
        init.zeros_(module.bias)


def _norm(module: nn.Module) -> None:
    init.ones_(module.weight)
    init.zeros_(module.bias)


STARTS: tuple[tuple[type[nn.Module] | tuple[type[nn.Module], ...], Callable], ...] = (
    # The output projection of attention is a linear layer too: it comes first.
    (NonDynamicallyQuantizableLinear, lambda module: module.reset_parameters()),
    (nn.MultiheadAttention, lambda module: module._reset_parameters()),
    (nn.Linear, _linear),
    ((nn.Conv1d, nn.Conv2d), _convolution),
    (nn.Embedding, lambda module: init.normal_(module.weight, std=0.02)),
    (nn.LayerNorm, _norm),
)
"""Module type → how it starts; the first that fits."""


def initialise(module: nn.Module) -> None:
    """Set the parameters that ``module`` itself holds; its children have their own turn.

    A module of ours with parameters of its own says in ``reset_parameters`` how they start.

    >>> layer = nn.Linear(2, 3)
    >>> initialise(layer)
    >>> layer.bias.tolist()
    [0.0, 0.0, 0.0]
    """
    for types, start in STARTS:
        if isinstance(module, types):
            start(module)
            return
    if next(module.parameters(recurse=False), None) is not None:
        module.reset_parameters()
