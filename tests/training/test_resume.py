"""A run that was ended at any moment goes on to the weights that it would have had."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from transformers import TrainerControl

from hfpipe.errors import UserError
from hfpipe.training.journal import Journal
from tests.training.staged import BEST, LORA, bert, learn, recipe_file, same, topics_of
from tests.training.support import pushed_bytes

KILLS = int(os.environ.get("HFPIPE_KILLS", "4"))
END = "3-end.safetensors"
IMPORTS = [
    "hfpipe.cli.app",
    "hfpipe.finetuning",
    "hfpipe.training.feature_cache",
    "hfpipe.training.stages",
    "hfpipe.training.trainer",
    "peft",
    "sklearn.metrics",
    "transformers.models.bert.modeling_bert",
]
STEPS = {
    **BEST,
    "num_train_epochs": 2,
    "eval_strategy": "steps",
    "save_strategy": "steps",
    "eval_steps": 2,
    "save_steps": 2,
    "save_total_limit": 1,
    "lr_scheduler_type": "cosine",
}
PLATEAU = {
    "lr_scheduler_type": "reduce_lr_on_plateau",
    "lr_scheduler_kwargs": {"patience": 0, "factor": 0.5},
}
STAGES = {
    "head": {"groups": {"head": 0.02}},
    "adapters": {"lora": "on", "groups": {"lora": 0.02, "head": {}}},
    "upper": {"lora": "merged", "groups": {"layers.1": 1e-3, "head": {}}, "training": PLATEAU},
}


def hfpipe(arguments: list[str], log: Path) -> None:
    """``python -m hfpipe …`` in this process, which is there for it alone."""
    from hfpipe.cli.app import main

    with log.open("w") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = ["hfpipe", *arguments]
    main()


@dataclass
class Ended:
    """How a process ended, and what it said."""

    code: int
    said: str

    @property
    def errors(self) -> list[str]:
        return [line for line in self.said.splitlines() if line.startswith("error: ")]


@dataclass
class Command:
    """``hfpipe finetune`` as a process; the server that starts it has imported everything once.

    Attributes:
        arguments: Of the command, without ``--resume`` and ``--out``.
        folder: Of its logs.
        out: Its run folder.
    """

    arguments: list[str]
    folder: Path
    out: Path
    ended: list[Ended] = field(default_factory=list)

    def run(self, *more: str, until: Callable[[], bool] | None = None, number: int = 0) -> Ended:
        """Start it; once ``until`` says so, send it a signal.

        Args:
            *more: Further arguments.
            until: Asked all the time.
            number: Of the signal.
        """
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(IMPORTS)
        log = self.folder / f"{len(self.ended)}.log"
        arguments = [*self.arguments, "--out", str(self.out), *more]
        process = context.Process(target=hfpipe, args=(arguments, log))
        process.start()
        while until is not None and process.is_alive():
            if until():
                os.kill(process.pid, number)
                break
            time.sleep(0.002)
        process.join(300)
        if process.is_alive():
            process.kill()
            process.join()
        self.ended.append(Ended(int(process.exitcode or 0), log.read_text()))
        return self.ended[-1]

    def there(self, path: str) -> Callable[[], bool]:
        """Whether something is in the run folder."""
        return lambda: (self.out / "checkpoints" / path).exists()


def recipe_of(base: str, dataset: str, **changed: Any) -> dict[str, Any]:
    """What ``recipe_file`` and ``learn`` are told."""
    return {
        "dataset": dataset,
        "model": bert(base, lora=LORA),
        "stages": STAGES,
        "training": STEPS,
        "early_stopping": {"patience": 4, "epsilon": 0.001},
        **changed,
    }


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("resume")


@pytest.fixture(scope="module")
def dataset(hub) -> str:
    return topics_of(hub, "resumed", 40)


@pytest.fixture(scope="module")
def whole(hub, tiny_bert, dataset, folder):
    """A run that nobody disturbed; that --resume found nothing to go on with, it was not told."""
    return learn(hub, folder, "undisturbed", **recipe_of(tiny_bert, dataset), resume=True)


@pytest.fixture(scope="module")
def killed(hub, tiny_bert, dataset, folder) -> Command:
    """The same, ended by SIGTERM, by Ctrl-C, by SIGKILL, moved, and gone on with each time."""
    path = recipe_file(folder, "killed", **recipe_of(tiny_bert, dataset))
    arguments = ["finetune", "--recipe", str(path), "--target", "local/killed"]
    arguments += ["--hub", hub.url, "--no-wandb", "--quiet"]
    command = Command(arguments, folder, folder / "killed")
    command.run(until=command.there("head/checkpoint-2"), number=signal.SIGTERM)
    command.run("--resume", until=command.there("adapters/checkpoint-2"), number=signal.SIGINT)
    draw = random.Random(7)
    for number in range(KILLS):
        moment = _learning(command, draw) if number % 2 == 0 else _any(draw)
        command.run("--resume", until=moment, number=signal.SIGKILL)
    command.out = command.out.rename(folder / "moved")
    command.run("--resume")
    return command


def _any(draw: random.Random) -> Callable[[], bool]:
    """A random moment, maybe before anything is learnt or read."""
    end = time.monotonic() + draw.uniform(0, 4)
    return lambda: time.monotonic() > end


def _learning(command: Command, draw: random.Random) -> Callable[[], bool]:
    """A random moment after a process has begun to write checkpoints of its own."""
    place = command.out / "checkpoints"

    def newest() -> float:
        return max((each.stat().st_mtime for each in place.glob("*/checkpoint-*")), default=0.0)

    before, delay, since = newest(), draw.uniform(0, 0.4), 0.0

    def now() -> bool:
        nonlocal since
        try:
            since = since or (time.monotonic() if newest() > before else 0.0)
        except OSError:  # rotated away meanwhile
            return False
        return bool(since) and time.monotonic() > since + delay

    return now


@pytest.mark.long
def test_a_signal_saves_and_leaves_with_its_code_and_one_line(killed):
    for ended, code, name in zip(killed.ended, (143, 130), ("SIGTERM", "Ctrl-C"), strict=False):
        assert ended.code == code, ended.said
        (line,) = ended.errors
        assert re.search(
            rf"stage '\w+': ended by {name} at step \d+, which is saved in .*--resume", line
        )
        assert "Traceback" not in ended.said
    # Late kills may find a run at its end, or find none any more.
    *struck, last = [each.code for each in killed.ended[2:]]
    assert (last, struck[0]) == (0, -signal.SIGKILL)
    assert set(struck) <= {-signal.SIGKILL, 0}
    assert struck.count(-signal.SIGKILL) >= KILLS // 2


@pytest.mark.long
def test_the_weights_of_a_run_that_was_killed_are_those_of_one_that_was_not(hub, killed, whole):
    ends = [each / "checkpoints" / END for each in (killed.out, whole.folder)]
    assert same(*ends)
    pushed = SimpleNamespace(model=SimpleNamespace(repo_id="local/killed", revision="main"))
    assert pushed_bytes(hub, pushed, "model.safetensors") == pushed_bytes(
        hub, whole, "model.safetensors"
    )


def curves(folder: Path) -> list[dict[str, Any]]:
    """What was logged, without how long it took, and without the sum of it."""
    found = json.loads((folder / "curves.json").read_text())
    timed = re.compile("runtime|per_second")
    return [
        {key: each[key] for key in each if not timed.search(key)}
        for each in found
        if "train_loss" not in each
    ]


@pytest.mark.long
def test_its_curves_are_those_of_a_run_that_was_not(killed, whole):
    found = curves(killed.out)
    assert found == curves(whole.folder)
    assert [each["step"] for each in found if "loss" in each] == list(range(1, 31))
    rates = [each["learning_rate"] for each in found if each["stage"] == 3 and "loss" in each]
    assert rates[0] > rates[-1]  # the plateau was seen


def test_a_finished_run_is_pushed_again_and_tracked_as_the_same(
    hub, tiny_bert, dataset, folder, whole
):
    """As after a kill while the model was being scored or pushed."""
    from hfpipe.hub.repos import api

    first = pushed_bytes(hub, whole, "model.safetensors")
    api(hub).delete_repo(whole.model.repo_id)
    before = (whole.folder / "checkpoints" / "progress.json").read_bytes()
    again = learn(
        hub, folder, "undisturbed", **recipe_of(tiny_bert, dataset), resume=True, wandb=True
    )
    assert pushed_bytes(hub, again, "model.safetensors") == first
    assert again.record.metrics == whole.record.metrics
    assert (whole.folder / "checkpoints" / "progress.json").read_bytes() == before
    (path,) = whole.folder.rglob("run-*.wandb")
    assert path.stem == f"run-{json.loads(before)['tracker']}"


def test_killed_between_two_stages_it_ends_the_first_again_without_a_step(
    hub, tiny_bert, dataset, folder, whole
):
    """Its last checkpoint is there, and the journal knows nothing of the stage yet."""
    place = folder / "between" / "checkpoints"
    shutil.copytree(whole.folder / "checkpoints", place)
    journal = json.loads((place / "progress.json").read_text())
    (place / "progress.json").write_text(json.dumps({**journal, "stages": []}))
    for path in ("adapters", "upper"):
        shutil.rmtree(place / path)
    (place / END).unlink()
    kept = {each.name for each in (place / "head").glob("checkpoint-*")}
    again = learn(
        hub,
        folder,
        "undisturbed",
        **recipe_of(tiny_bert, dataset),
        resume=True,
        out=folder / "between",
    )
    assert {each.name for each in (place / "head").glob("checkpoint-*")} == kept
    assert same(*(each / "checkpoints" / END for each in (again.folder, whole.folder)))
    assert curves(again.folder) == curves(whole.folder)


@pytest.fixture
def finished(folder, whole, tmp_path) -> Path:
    """A copy of the run that nobody disturbed."""
    (tmp_path / "run").mkdir()
    shutil.copytree(whole.folder / "checkpoints", tmp_path / "run" / "checkpoints")
    return tmp_path / "run"


def refusal(hub, folder: Path, out: Path, **recipe: Any) -> str:
    """The line in which --resume is refused, with the run left as it is."""
    before = sorted((each, each.stat().st_mtime_ns) for each in out.rglob("*"))
    with pytest.raises(UserError) as caught:
        learn(hub, folder, "undisturbed", **recipe, resume=True, out=out)
    assert caught.value.exit_code == 2
    line = str(caught.value)
    assert "\n" not in line
    assert sorted((each, each.stat().st_mtime_ns) for each in out.rglob("*")) == before
    return line


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        (
            {"training": {**STEPS, "learning_rate": 1e-4}},
            "has training.learning_rate=0.005, this one 0.0001: give the same, or start anew",
        ),
        (
            {"stages": {**STAGES, "adapters": {"lora": "on", "groups": {"lora": 0.5, "head": {}}}}},
            "has stages.adapters.groups.lora.learning_rate=0.02, this one 0.5",
        ),
        ({"early_stopping": {"patience": 5}}, "has early_stopping.patience=4, this one 5"),
    ],
)
def test_another_recipe_is_refused_with_both_values(
    hub, tiny_bert, dataset, tmp_path, finished, changed, words
):
    line = refusal(hub, tmp_path, finished, **recipe_of(tiny_bert, dataset, **changed))
    assert line.startswith(f"--resume: the run in {finished} ")
    assert words in line


@pytest.mark.parametrize(
    "damage", ["", '{"stages": [', "[]", '{"stages": [{"nmae": 1}], "identity": {}}', "\udcff"]
)
def test_a_journal_that_cannot_be_read_is_named(tmp_path, damage):
    path = tmp_path / "progress.json"
    path.write_bytes(damage.encode(errors="surrogateescape"))
    with pytest.raises(UserError) as caught:
        Journal.read(tmp_path)
    assert str(caught.value).startswith(f"{path} cannot be read (")
    assert str(caught.value).endswith("start anew, without --resume")


def test_a_damaged_journal_is_refused(hub, tiny_bert, dataset, tmp_path, finished):
    path = finished / "checkpoints" / "progress.json"
    path.write_bytes(path.read_bytes()[:-20])
    line = refusal(hub, tmp_path, finished, **recipe_of(tiny_bert, dataset))
    assert line.startswith(f"{path} cannot be read (")


def test_without_a_folder_the_newest_run_of_the_recipe_goes_on(
    hub, tiny_bert, dataset, tmp_path, finished, monkeypatch, cli
):
    from hfpipe.finetuning import FinetuneOptions, finetune
    from hfpipe.recipe import load_recipe

    path = recipe_file(tmp_path, "undisturbed", **recipe_of(tiny_bert, dataset))
    monkeypatch.chdir(tmp_path)
    ran = cli("finetune", "--recipe", path, "--hub", hub.url, "--resume", "--no-wandb", "--quiet")
    assert ran.code == 2
    assert ran.err == (
        "error: --resume: no run in runs/undisturbed to go on with; name its folder with --out\n"
    )
    for age, name in enumerate(("b", "c", "a")):
        run = tmp_path / "runs" / "undisturbed" / name
        shutil.copytree(finished, run)
        at = time.time() - 100 + age
        os.utime(run / "checkpoints" / "progress.json", (at, at))
    options = FinetuneOptions("local/found", wandb=False, quiet=True, resume=True)
    done = finetune(load_recipe(str(path)), hub, options)
    assert done.folder.resolve() == tmp_path / "runs" / "undisturbed" / "a"


def test_another_revision_of_the_dataset_is_refused(hub, tiny_bert, dataset, tmp_path, finished):
    topics_of(hub, "resumed", 39)
    line = refusal(hub, tmp_path, finished, **recipe_of(tiny_bert, dataset))
    assert re.search(r'has dataset="local/resumed@\w{40}", this one "local/resumed@\w{40}"', line)


@pytest.mark.parametrize(
    ("step", "saves"), [(3, True), (6, False), (10, False), (12, False), (11, True)]
)
def test_a_signal_waits_for_the_end_of_an_epoch_and_of_all_steps(step, saves):
    """Else nobody would evaluate them: who goes on from there begins the next epoch."""
    from hfpipe.training.interruption import Interruption

    heard, control = Interruption(), TrainerControl()
    heard.number = signal.SIGTERM
    state = SimpleNamespace(global_step=step, max_steps=10 if step == 10 else 14)
    heard.on_step_end(None, state, control, train_dataloader=range(6))
    assert (control.should_save, control.should_training_stop) == (saves, saves)
    control.should_evaluate = True
    heard.on_epoch_end(None, state, control)
    assert control.should_evaluate is not saves
    assert control.should_training_stop
