"""What a run has done so far, on disk: where ``--resume`` goes on, and whether it may."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hfpipe.errors import UserError
from hfpipe.files import write_text

NAME = "progress.json"


@dataclass
class Done:
    """A stage that is finished.

    Attributes:
        name: Of the stage.
        steps: Optimizer steps.
        epochs: Epochs, the last maybe in part.
        metric: That decided; None where nothing was evaluated.
        best: Its value in the best evaluation of this stage.
        best_loss: The validation loss there.
        best_step: At which of the run's steps.
        kept: Whether the stage's weights went on; else it was no better than what it began with.
        stopped: Whether it was ended before its last epoch.
        seconds: Spent learning, in the process that finished it.
        history: The Trainer's log, by the run's own steps.
        warnings: What was told.
    """

    name: str
    steps: int
    epochs: float
    metric: str | None = None
    best: float | None = None
    best_loss: float | None = None
    best_step: int | None = None
    kept: bool = True
    stopped: bool = False
    seconds: float = 0.0
    history: list[dict[str, Any]] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass
class Journal:
    """The record of a run.

    Attributes:
        folder: Of the run's checkpoints.
        identity: What makes the run this one; see ``differences``.
        tracker: The W&B run.
        stages: Finished ones, in order.
        writes: Whether this process is the one that writes.
        new: Whether this run begins; what an earlier one left is then taken away.
    """

    folder: Path
    identity: dict[str, Any] = field(default_factory=dict)
    tracker: str | None = None
    stages: list[Done] = field(default_factory=list)
    writes: bool = True
    new: bool = False

    @classmethod
    def read(cls, folder: Path) -> Journal | None:
        """The record in a folder; None where there is none.

        Raises:
            UserError: It is damaged.
        """
        path = folder / NAME
        if not path.is_file():
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            stages = [Done(**each) for each in found["stages"]]
            return cls(folder, found["identity"], found["tracker"], stages)
        except (ValueError, TypeError, KeyError) as error:
            raise UserError(
                f"{path} cannot be read ({' '.join(str(error).split())[:100]}): start anew, "
                "without --resume"
            ) from error

    def begin(self) -> None:
        """Keep it; a new run without an earlier one's checkpoints, which Trainer would count."""
        if self.new and self.writes:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.new = False
        self.write()

    def write(self) -> None:
        """Keep it."""
        if self.writes:
            told = {
                "identity": self.identity,
                "tracker": self.tracker,
                "stages": [asdict(each) for each in self.stages],
            }
            write_text(self.folder / NAME, json.dumps(told, indent=1))

    def add(self, done: Done) -> None:
        """Keep that a stage is finished."""
        self.stages.append(done)
        self.write()

    def check(self, identity: Mapping[str, Any]) -> None:
        """Refuse to go on with a run that is another one.

        Raises:
            UserError: Naming the first thing that differs.
        """
        wanted = json.loads(json.dumps(identity))
        for key, there, here in differences(self.identity, wanted):
            raise UserError(
                f"--resume: the run in {self.folder.parent} has {key}={_shown(there)}, this one "
                f"{_shown(here)}: give the same, or start anew without --resume"
            )


def differences(
    there: Mapping[str, Any], here: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    """Every key whose value is not the same in both.

    >>> list(differences({"a": {"b": 1}, "c": 2}, {"a": {"b": 3}, "c": 2}))
    [('a.b', 1, 3)]
    >>> list(differences({"old": []}, {"new": {}, "old": None}))
    [('old', [], None)]
    """
    for key in dict.fromkeys([*there, *here]):
        if key not in there and not here[key] and here[key] in (None, {}, []):
            continue  # of a run by an earlier version, which knew no such key
        left, right = there.get(key), here.get(key)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            yield from differences(left, right, f"{prefix}{key}.")
        elif left != right:
            yield f"{prefix}{key}", left, right


def _shown(value: Any) -> str:
    said = json.dumps(value, ensure_ascii=False)
    return said if len(said) <= 80 else f"{said[:77]}…"
