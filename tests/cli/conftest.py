"""What the command line's tests share."""

from __future__ import annotations

import os

import pytest

from tests.toys import PREPARED, push_rows, toy_rows


@pytest.fixture(autouse=True)
def token_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A token given to a command in this process goes into the environment: take it out again."""
    monkeypatch.setenv("HF_TOKEN", os.environ.get("HF_TOKEN", ""))


@pytest.fixture(scope="session")
def toys(hub) -> str:
    """A pushed dataset repo of toy rows."""
    splits = {"train": toy_rows(60, 1), "validation": toy_rows(15, 2), "test": toy_rows(15, 3)}
    return push_rows(hub, "local/toys", PREPARED, **splits)


@pytest.fixture(scope="session")
def toy_model(hub, tiny_bert, toys, tmp_path_factory) -> str:
    """A model that was fine-tuned on them for one step, and pushed."""
    from hfpipe.finetuning import FinetuneOptions, finetune
    from hfpipe.recipe import load_recipe

    overrides = [f"model.base={tiny_bert}", f"data.dataset={toys}", "training.max_steps=1"]
    options = FinetuneOptions(
        "local/toys-model", tmp_path_factory.mktemp("run"), wandb=False, quiet=True
    )
    return finetune(load_recipe("topics_minilm", overrides), hub, options).model.repo_id
