"""Rows with a column for every input kind and a label for every task, and runs on them."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.toys import push_rows, read_jsonl

if TYPE_CHECKING:
    from hfpipe.evaluation.record import EvaluationRecord
    from hfpipe.finetuning import Finetuned
    from hfpipe.hub.endpoint import Endpoint

SIDES = ("no", "yes")
WORDS = {"no": ["rain", "snow", "wind"], "yes": ["song", "dance", "drum"]}
NOTES = {"no": "cold", "yes": "warm"}
TOPICS = ("left", "middle", "right")
PREPARED = {"text": ["text"], "label": "answer"}
TRAINING = {
    "seed": 3,
    "num_train_epochs": 5,
    "per_device_train_batch_size": 16,
    "per_device_eval_batch_size": 64,
    "save_only_model": True,
    "learning_rate": 5e-3,
    "eval_strategy": "epoch",
    "save_strategy": "best",
    "save_total_limit": 1,
    "load_best_model_at_end": True,
    "metric_for_best_model": "loss",
}


def picture(side: str, random: np.random.Generator) -> dict[str, Any]:
    """A noisy PNG of 16 x 16 pixels: dark for no, bright for yes."""
    from PIL import Image

    pixels = random.integers(0, 100, (16, 16, 3)) + (150 if side == "yes" else 0)
    buffer = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
    return {"bytes": buffer.getvalue(), "path": None}


def rows(count: int, seed: int, shift: float = 0.0, channels: str = "abc") -> list[dict[str, Any]]:
    """Rows whose every input tells the answer; three in a row have one author, and one answer.

    Args:
        count: How many.
        seed: Of all that is drawn.
        shift: Added to the numbers.
        channels: The categories.
    """
    random = np.random.default_rng(seed)
    found = []
    for at in range(count):
        side = SIDES[at // 3 % 2]
        sign = 1.0 if side == "yes" else -1.0
        video = random.normal(size=4)
        tags = [tag for tag in ("red", "blue") if random.random() < 0.5]
        words = [*["the"] * int(random.integers(1, 8)), str(random.choice(WORDS[side]))]
        messages = random.normal(size=(int(random.integers(1, 5)), 4))
        messages[:, 0] += 1.5 * sign
        size = random.normal()
        found.append(
            {
                "row_id": f"{seed}-{at}",
                "author": f"author-{seed}-{at // 3}",
                "text": " ".join(words),
                "note": None if at % 2 else f"a {NOTES[side]} one",
                "tagged": " ".join(["the", *(tags or ["none"])]),
                "size": shift + size + sign,
                "weight": shift + 50 + 10 * random.normal(),
                "channel": channels[int(random.integers(len(channels)))],
                "video": video.tolist(),
                "audio": random.normal(size=4).tolist() if at % 4 else None,
                "messages": messages.tolist(),
                "picture": picture(side, random),
                "answer": side,
                "topic": TOPICS[int(np.argmax(video[:3]))],
                "tags": tags,
                "level": 2.0 if side == "yes" else -1.0,
                "views": float(np.expm1(6 + video[0] + 0.5 * size + 0.1 * random.normal())),
            }
        )
    return found


def push(hub: Endpoint, name: str, **changed: list[dict[str, Any]]) -> str:
    """Push 120, 48 and 48 rows; ``changed`` names splits with other rows."""
    splits = {"train": rows(120, 1), "validation": rows(48, 2), "test": rows(48, 3), **changed}
    return push_rows(hub, f"local/{name}", PREPARED, **splits)


def tune(
    hub: Endpoint,
    folder: Path,
    target: str,
    dataset: str,
    model: dict[str, Any],
    inputs: dict[str, Any] | None = None,
    *,
    training: dict[str, Any] | None = None,
    evaluation: dict[str, Any] | None = None,
    **data: Any,
) -> Finetuned:
    """Fine-tune by a recipe that says so; tabular models get no ``training`` but the seed."""
    from hfpipe.finetuning import FinetuneOptions, finetune
    from hfpipe.recipe import load_recipe

    tabular = model["kind"] in ("ridge", "gbdt")
    block = {
        "description": "toy",
        "data": {"dataset": dataset, "inputs": inputs or {}, **data},
        "model": model,
        "training": {"seed": 3} if tabular else {**TRAINING, **(training or {})},
        "evaluation": {"baselines": False, **(evaluation or {})},
    }
    path = folder / f"{target}.yaml"
    path.write_text(json.dumps(block))
    options = FinetuneOptions(f"local/{target}", folder / target, wandb=False, quiet=True)
    return finetune(load_recipe(str(path)), hub, options)


@dataclass(frozen=True)
class Scores:
    """What ``evaluate`` left on disk."""

    record: EvaluationRecord
    rows: list[dict[str, Any]]


def scores(hub: Endpoint, folder: Path, tuned: Finetuned, **options: Any) -> Scores:
    """Evaluate from the pushed repo."""
    from hfpipe.evaluating import EvaluateOptions, evaluate
    from hfpipe.evaluation.record import read_record

    done = evaluate(tuned.model.repo_id, hub, EvaluateOptions(out=folder, quiet=True, **options))
    return Scores(read_record(done.metrics), read_jsonl(done.predictions))


def pushed_files(hub: Endpoint, tuned: Finetuned) -> set[str]:
    """The paths of the pushed repo."""
    from hfpipe.hub.repos import api

    return set(api(hub).list_repo_files(tuned.model.repo_id))


def pushed_bytes(hub: Endpoint, tuned: Finetuned, path: str) -> bytes:
    """A file of the pushed repo."""
    from hfpipe.hub.repos import download

    found = download(hub, tuned.model.repo_id, "model", path, tuned.model.revision)
    assert found is not None, path
    return found.read_bytes()


def story(hub: Endpoint, tuned: Finetuned) -> dict[str, Any]:
    """The pushed ``hfpipe/run.json``."""
    found: dict[str, Any] = json.loads(pushed_bytes(hub, tuned, "hfpipe/run.json"))
    return found


def text(column: str = "text", **more: Any) -> dict[str, Any]:
    return {"kind": "text", "columns": [column], "max_length": 32, **more}


def numeric(*columns: str) -> dict[str, Any]:
    return {"kind": "numeric", "columns": list(columns)}


def categorical(*columns: str) -> dict[str, Any]:
    return {"kind": "categorical", "columns": list(columns)}


def vector(column: str, **more: Any) -> dict[str, Any]:
    return {"kind": "vector", "columns": [column], **more}


SEQUENCE = {"messages": {"kind": "vector_sequence", "columns": ["messages"]}}
METADATA = {"numbers": numeric("size", "weight"), "groups": categorical("channel")}
TABLE = {
    "video": vector("video"),
    "audio": vector("audio", optional=True),
    "numbers": numeric("size", "weight"),
    "groups": categorical("channel"),
}
SMALL_SEQUENCE = {
    "hidden_size": 16,
    "num_heads": 2,
    "feedforward_size": 16,
    "num_layers": 1,
    "kernel_sizes": [3],
}
TINY_SIGLIP = {
    "model_type": "siglip",
    "vision_config": {
        "image_size": 16,
        "patch_size": 8,
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
    },
}
