"""One cell: fine-tuned, pushed, scored from what was pushed, and kept: it need not run again."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hfpipe.errors import HfpipeError, UserError
from hfpipe.files import write_text
from hfpipe.hub.endpoint import Endpoint
from hfpipe.recipe import Recipe
from hfpipe.suites.checking import Ground
from hfpipe.suites.planning import Cell
from hfpipe.version import __version__

RUNNING = ".running"
TRACKED = "tracking"
"""Where the trackers of each cell keep their files: offline runs are synced from there."""
STATE = "cell.json"


@dataclass(frozen=True)
class Outcome:
    """How a cell ended.

    Attributes:
        cell: Which.
        metrics: ``validation`` and ``test`` to the evaluation record; empty where it failed.
        repo_id: Of the pushed model.
        revision: Its commit.
        seconds: That the whole cell took.
        epochs: The best epoch, of a cell whose Trainer evaluated.
        kept: Whether it had run before.
        error: Why it failed.
    """

    cell: Cell
    metrics: Mapping[str, Any] = field(default_factory=dict)
    repo_id: str = ""
    revision: str = ""
    seconds: float = 0.0
    epochs: float | None = None
    kept: bool = False
    error: str | None = None

    def score(self, split: str, metric: str) -> float | None:
        """One number of its records."""
        value = self.metrics.get(split, {}).get("metrics", {}).get(metric)
        return None if value is None else float(value)


@dataclass(frozen=True)
class CellRunner:
    """Runs cells into a folder.

    Attributes:
        endpoint: The Hub.
        out: The suite's folder.
        target: What the names of the pushed repos begin with.
        finetuning: Further options of ``FinetuneOptions``.
    """

    endpoint: Endpoint
    out: Path
    target: str
    finetuning: Mapping[str, Any] = field(default_factory=dict)

    def repo_id(self, cell: Cell) -> str:
        """Where a cell's model is pushed to."""
        return f"{self.target}-{cell.name}"

    def fingerprint(self, cell: Cell, ground: Ground) -> str:
        """The same for a cell that would give the same."""
        told = {
            "recipe": asdict(cell.recipe),
            "dataset": [ground.repo_id, ground.revision],
            "hfpipe": __version__,
            "target": self.repo_id(cell),
            "rows": self.finetuning.get("rows"),
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True, default=str).encode()).hexdigest()

    def run(self, cell: Cell, ground: Ground) -> Outcome:
        """Run a cell, unless it has; an error is told in the outcome, not raised."""
        mark = self.fingerprint(cell, ground)
        known = self.finished(cell, mark)
        if known is not None:
            return known
        started = time.perf_counter()
        try:
            self._run(cell, mark, ground)
        except Exception as error:  # noqa: BLE001 - one cell must not stop the others
            said = str(error).partition("\n")[0]
            kind = "" if isinstance(error, HfpipeError) else f"{type(error).__name__}: "
            return Outcome(cell, seconds=time.perf_counter() - started, error=f"{kind}{said}")
        finally:
            shutil.rmtree(self.out / RUNNING, ignore_errors=True)
        found = self._read(cell)
        assert found is not None
        return found

    def finished(self, cell: Cell, mark: str) -> Outcome | None:
        """What is there of a cell that ran before from the same, and whose model is still there."""
        from dataclasses import replace

        from hfpipe.hub.repos import resolve

        found = self._read(cell, mark)
        if found is None:
            return None
        try:
            resolve(self.endpoint, found.repo_id, "model", found.revision)
        except UserError:  # the model was deleted
            return None
        return replace(found, kept=True)

    def _run(self, cell: Cell, mark: str, ground: Ground) -> None:
        from hfpipe.evaluating import EvaluateOptions, evaluate
        from hfpipe.finetuning import FinetuneOptions, finetune

        work = self.out / RUNNING / cell.name
        shutil.rmtree(work, ignore_errors=True)
        started = time.perf_counter()
        options = FinetuneOptions(
            target=self.repo_id(cell),
            out=work / "run",
            tracking=self.out / TRACKED / cell.name,  # outlives the run folder
            quiet=True,
            **self.finetuning,
        )
        tuned = finetune(cell.recipe, self.endpoint, options)
        pushed = f"{tuned.model.repo_id}@{tuned.model.revision}"
        scored = evaluate(
            pushed,
            self.endpoint,
            EvaluateOptions(out=work / "test", baselines=False, quiet=True),
        )
        done = work / "cell"
        done.mkdir()
        shutil.move(work / "run" / "config.yaml", done)
        shutil.move(work / "run" / "curves.json", done)
        shutil.move(scored.predictions, done)
        shutil.move(scored.report, done)
        records = {"validation": tuned.record.to_dict(), "test": scored.record.to_dict()}
        _write(done / "metrics.json", records)
        history = json.loads((done / "curves.json").read_text(encoding="utf-8"))
        state = {
            "cell": cell.name,
            "fingerprint": mark,
            "values": dict(cell.values),
            "dataset": {"repo_id": ground.repo_id, "revision": ground.revision},
            "model": {"repo_id": tuned.model.repo_id, "revision": tuned.model.revision},
            "hfpipe": __version__,
            "best_epoch": best_epoch(cell.recipe, history),
            "learning_seconds": round(tuned.seconds, 1),
            "seconds": round(time.perf_counter() - started, 1),
        }
        _write(done / STATE, state)
        place = self.out / cell.place
        shutil.rmtree(place, ignore_errors=True)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(done, place)

    def _read(self, cell: Cell, mark: str | None = None) -> Outcome | None:
        folder = self.out / cell.place
        try:
            state = json.loads((folder / STATE).read_text(encoding="utf-8"))
            if mark is not None and state["fingerprint"] != mark:
                return None
            return Outcome(
                cell,
                json.loads((folder / "metrics.json").read_text(encoding="utf-8")),
                state["model"]["repo_id"],
                state["model"]["revision"],
                float(state["seconds"]),
                state["best_epoch"],
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


def best_epoch(recipe: Recipe, history: Sequence[Mapping[str, Any]]) -> float | None:
    """The epoch whose checkpoint was kept; None where nothing was evaluated on the way.

    >>> best_epoch(
    ...     Recipe(training={"metric_for_best_model": "rmse_log"}),
    ...     [{"epoch": 1.0, "eval_rmse_log": 2.0}, {"epoch": 2.0, "eval_rmse_log": 1.5}],
    ... )
    2.0
    """
    from hfpipe.metrics.directions import DIRECTIONS

    name = str(recipe.training.get("metric_for_best_model") or "loss").removeprefix("eval_")
    scored = [each for each in history if each.get(f"eval_{name}") is not None]
    if not scored:
        return None
    sign = -1.0 if DIRECTIONS.get(name) == "higher" else 1.0
    return float(min(scored, key=lambda each: sign * each[f"eval_{name}"])["epoch"])


def _write(path: Path, content: Any) -> None:
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n")
