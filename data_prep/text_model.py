"""A base model that turns texts into vectors: loaded, and run in batches of like length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import sha256
from hfpipe.hub.repos import find, hub_errors


@dataclass(frozen=True)
class Found:
    """Where a model is.

    Attributes:
        source: Repo id or folder.
        revision: The repo's commit; None for a folder.
        token: What to load it with.
        provenance: What tells it from every other one.
    """

    source: str
    revision: str | None
    token: str | bool
    provenance: dict[str, Any]


class TextModel:
    """A pretrained encoder in float32.

    Attributes:
        name: As the user called it.
        dimension: Numbers a vector.
        longest: The most tokens it reads.
        provenance: Repo and commit, or a hash of a folder's files.
    """

    def __init__(
        self, name: str, revision: str | None = None, endpoint: Endpoint | None = None
    ) -> None:
        """Load it.

        Args:
            name: Model repo, also ``NAMESPACE/NAME@REVISION``, or a folder.
            revision: Branch, tag or commit of the repo.
            endpoint: The Hub that has the repo; not needed for a folder.

        Raises:
            UserError: There is no such model, or it is no text encoder.
        """
        found = _find(name, revision, endpoint)
        self.name, self.provenance = name, found.provenance
        with _quiet_loading(name):
            with hub_errors(endpoint, name) if endpoint else nullcontext():
                self._load(found)
            try:
                self.dimension = self.pooled(self.tokens(["a"], 8)).shape[1]
            except (TypeError, AttributeError) as error:  # an image model, or half of one
                raise ValueError(f"it does not take text alone: {error}") from error

    def _load(self, found: Found) -> None:
        import torch
        from transformers import AutoModel, AutoTokenizer

        where = {"revision": found.revision or "main", "token": found.token}
        self._tokenizer = AutoTokenizer.from_pretrained(found.source, **where)
        # float32 whatever the checkpoint was saved in: the same vectors on every machine.
        model, loaded = AutoModel.from_pretrained(
            found.source, dtype="float32", output_loading_info=True, **where
        )
        absent = sorted(name for name in loaded["missing_keys"] if "pooler" not in name)
        if absent:
            raise ValueError(f"its weights lack {absent[0]}")
        if model.config.is_encoder_decoder:
            model = model.get_encoder()
        if self._tokenizer.pad_token is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        self._model = model.eval().to(self._device)
        longest = int(self._tokenizer.model_max_length)
        self.longest = min(longest, getattr(model.config, "max_position_embeddings", 0) or longest)

    def tokens(self, texts: Sequence[str], max_length: int) -> list[list[int]]:
        """Token ids of each text, cut to ``max_length``."""
        encoded = self._tokenizer(list(texts), truncation=True, max_length=max_length)
        ids: list[list[int]] = encoded["input_ids"]
        return ids

    def batches(
        self, tokens: Sequence[list[int]], batch_size: int, pooling: str = "mean"
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Run texts, those with like numbers of tokens together, so that little is padding.

        Args:
            tokens: Token ids of each text.
            batch_size: Texts a forward pass.
            pooling: As for ``pooled``.

        Yields:
            Places in ``tokens``, and their vectors: (texts, dim) float32.
        """
        order = np.argsort([-len(ids) for ids in tokens], kind="stable")
        for start in range(0, len(order), batch_size):
            places = order[start : start + batch_size]
            yield places, self.pooled([tokens[place] for place in places], pooling)

    def pooled(self, tokens: Sequence[list[int]], pooling: str = "mean") -> np.ndarray:
        """One forward pass.

        Args:
            tokens: Token ids of each text.
            pooling: What to make of a text's token vectors: their ``mean``, or the first (``cls``).

        Returns:
            (texts, dim) float32.
        """
        import torch

        padded = self._tokenizer.pad(
            {"input_ids": tokens}, return_tensors="pt", padding_side="right"
        ).to(self._device)
        mask = padded["attention_mask"]
        with torch.inference_mode():
            states = self._model(input_ids=padded["input_ids"], attention_mask=mask)[0]
            weights = mask.unsqueeze(-1).to(states.dtype)
            pooled = _POOLINGS[pooling](states, weights)
        return np.asarray(pooled.cpu().numpy(), dtype=np.float32)


_POOLINGS: dict[str, Any] = {
    "mean": lambda states, weights: (states * weights).sum(1) / weights.sum(1).clamp(min=1),
    "cls": lambda states, weights: states[:, 0],
}


def _find(name: str, revision: str | None, endpoint: Endpoint | None) -> Found:
    folder = Path(name).expanduser()
    if folder.is_dir():
        if revision:
            raise UserError(f"prepare.encode.revision: {name} is a folder, which has none")
        # The folder's name, not its path: the record is published.
        said = {"model": folder.resolve().name, "revision": None, "sha256": _folder_hash(folder)}
        return Found(str(folder), None, False, said)
    if endpoint is None:
        raise UserError(f"prepare.encode.model: '{name}' is no folder, and no Hub is given: --hub")
    repo_id, sha = find(endpoint, name, "model", revision)
    return Found(repo_id, sha, endpoint.token or False, {"model": repo_id, "revision": sha})


def _folder_hash(folder: Path) -> str:
    """One hash of the names and contents of the files in a folder, hidden ones left out."""
    files = sorted(path for path in folder.iterdir() if path.is_file() and path.name[0] != ".")
    said = "".join(f"{sha256(path)}  {path.name}\n" for path in files)
    return hashlib.sha256(said.encode()).hexdigest()


@contextmanager
def _quiet_loading(model: str) -> Iterator[None]:
    """Keep the loader's own report and bars away; say in one line what cannot be loaded."""
    from safetensors import SafetensorError
    from transformers.utils import logging

    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    except (ValueError, OSError, KeyError, RuntimeError, ImportError, SafetensorError) as error:
        cause = " ".join(str(error).split())[:200]
        raise UserError(
            f"prepare.encode.model: '{model}' holds no text encoder that transformers can load: "
            f"{cause}"
        ) from error
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()
