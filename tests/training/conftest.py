"""Runs that are refused before anything is learnt."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from hfpipe.errors import UserError
from tests.toys import push_rows
from tests.training.broken import broken, recipe_of

Refused = Callable[..., str]


@pytest.fixture(scope="session")
def bad_dataset(hub) -> str:
    prepared = {"text": ["text"], "label": "answer", "leakage_columns": ["followers"]}
    sizes = {"train": (24, 1), "validation": (12, 2), "test": (12, 3)}
    splits = {split: broken(split, *size) for split, size in sizes.items()}
    return push_rows(hub, "local/broken", prepared, **splits)


@pytest.fixture
def untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever begins to learn fails the test."""
    from hfpipe.training import engines

    def learn(*_: Any) -> None:
        raise AssertionError("learning began")

    for engine in (engines.ByTrainer, engines.ByFit):
        monkeypatch.setattr(engine, "learn", learn)


@pytest.fixture
def refused(hub, tiny_bert, bad_dataset, tmp_path, untouched) -> Refused:
    """The one line in which a run is refused, with nothing left of it anywhere."""
    from hfpipe.finetuning import FinetuneOptions, finetune
    from hfpipe.hub.repos import api

    def refused(model: dict[str, Any], inputs: dict[str, Any] | None = None, **more: Any) -> str:
        tuned = recipe_of(
            **{"task": "binary", "dataset": bad_dataset, **more}, model=model, inputs=inputs
        )
        options = FinetuneOptions("local/never", tmp_path / "never", wandb=False, quiet=True)
        with pytest.raises(UserError) as caught:
            finetune(tuned, hub, options)
        line = str(caught.value)
        assert caught.value.exit_code == 2
        assert "\n" not in line
        assert not api(hub).repo_exists("local/never")
        assert not (tmp_path / "never").exists()
        return line

    return refused
