"""The stages of a recipe, one after another: each from the best weights so far.

A stage is a run of the stock Trainer. A recipe without stages is one stage, in which all learns
that is not frozen. What is finished stands in the journal, and its weights beside it, so that a run
that was killed goes on in the stage, and at the batch, where its last checkpoint lies.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.blocks import Stage
from hfpipe.models.adapters import fold_in, has_adapters, put_on, take_off
from hfpipe.processes import barrier, is_main
from hfpipe.training.fit import build_trainer, step_rows, training_arguments
from hfpipe.training.journal import Done, Journal
from hfpipe.training.plans import Plan, plans_of
from hfpipe.training.rates import idle_rates, open_groups, rates_of, whole_modules
from hfpipe.training.reporting import Offset, shift_trackers
from hfpipe.training.resuming import train
from hfpipe.training.selection import better, evaluation_at, key_of

if TYPE_CHECKING:
    from datasets import Dataset

    from hfpipe.recipe import Recipe
    from hfpipe.training.engines import Learning
    from hfpipe.training.trainer import HfpipeTrainer

END, START = "end.safetensors", "start.safetensors"


def switch_adapters(model: Any, stage: Stage, recipe: Recipe) -> None:
    """Put adapters on, fold them in or take them off, as a stage says.

    Raises:
        UserError: ``model.lora`` cannot be put on.
    """
    towers = {name: each.lora for name, each in recipe.model.towers.items() if each.lora}
    change: Mapping[str | None, Callable[[], Any]] = {
        "on": lambda: None if has_adapters(model) else put_on(model, recipe.model.lora or towers),
        "merged": lambda: fold_in(model),
        "off": lambda: take_off(model),
    }
    change.get(stage.lora, lambda: None)()


def check_stages(learning: Learning) -> None:
    """Go through all stages on a copy of the model, before any row is encoded.

    Raises:
        UserError: A group, a rate or a training argument that cannot be.
    """
    plans = plans_of(learning.recipe)
    several = len(plans) > 1 or bool(plans[0].name)
    model = copy.deepcopy(learning.model) if several else learning.model
    initial = _learns(model)
    for plan in plans:
        arguments = training_arguments(plan.recipe, learning.folder, learning.reporting)
        step_rows(plan.recipe, arguments)
        switch_adapters(model, plan.stage, plan.recipe)
        if several:
            whole = whole_modules(plan.recipe.model)
            open_groups(model, plan.stage, plan.recipe.model.freeze, initial, plan.place, whole)
        rates_of(model, plan.stage, arguments, plan.place, plan.recipe.rates)


def _learns(model: Any) -> dict[str, bool]:
    return {name: each.requires_grad for name, each in model.named_parameters()}


@dataclass
class Course:
    """A run through the stages.

    Attributes:
        learning: The model, and all that it needs to learn.
        splits: Encoded train and validation rows.
        journal: What is done so far.
        loss: As ``Trainer(compute_loss_func=…)``.
        initial: Parameter → whether it learnt when the run began.
    """

    learning: Learning
    splits: tuple[Dataset, Dataset]
    journal: Journal
    loss: Callable[..., Any] | None = None
    initial: dict[str, bool] = field(default_factory=dict)

    def run(self) -> None:
        """Go through all stages that are not done; the model then has the best weights."""
        self.journal.begin()
        barrier()
        self.initial = _learns(self.learning.model)
        plans = plans_of(self.learning.recipe)
        done = len(self.journal.stages)
        for plan in plans[:done]:
            self._prepare(plan)
        if done:
            self._load(self.learning.folder / f"{done}-{END}")
        for plan in plans[done:]:
            self._stage(plan)

    @property
    def offset(self) -> Offset:
        """What lies before the next stage."""
        done = self.journal.stages
        numbered = len(done) + 1 if self.learning.recipe.stages else 0
        return Offset(numbered, sum(each.steps for each in done), sum(e.epochs for e in done))

    def _prepare(self, plan: Plan) -> list[str]:
        """Adapters and groups of a stage; what is new in the model is drawn here.

        Returns:
            What the user should know.
        """
        from transformers import set_seed

        set_seed(int(plan.recipe.training.get("seed", 42)) + plan.index)
        model = self.learning.model
        switch_adapters(model, plan.stage, plan.recipe)
        own, whole, notes = plan.recipe.model, whole_modules(plan.recipe.model), []
        if plan.name:
            notes = open_groups(model, plan.stage, own.freeze, self.initial, plan.place, whole)
        if not plan.stage.groups:
            return notes + idle_rates(model, plan.recipe.rates)
        if plan.recipe.rates and all(each.groups for each in plan.recipe.stages.values()):
            notes.append("rates count for nothing: every stage names its groups; set rates=null")
        return notes

    def _stage(self, plan: Plan) -> None:
        from hfpipe.training.shards import is_to_be_cut, made_whole

        had = has_adapters(self.learning.model)
        notes = self._prepare(plan)
        taken_off = had and plan.stage.lora == "off"
        folder = plan.folder(self.learning.folder)
        if plan.index:
            self._save(folder / START)
        # FSDP cuts a model up where it is; only a copy from before is what it was.
        cut = is_to_be_cut(plan.recipe.training)
        before = copy.deepcopy(self.learning.model) if cut else None
        started = time.perf_counter()
        with self._trainer(plan) as trainer:
            for note in notes:
                trainer.watch.say(note)
            train(trainer, folder)
            if before is not None:
                self.learning.model = made_whole(before, trainer.model)
            done = self._done(plan, trainer, time.perf_counter() - started)
        # Nobody measured what is left without adapters: going back there would be a guess.
        done.kept |= taken_off
        if not done.kept:
            self._load(folder / START)
        number = len(self.journal.stages) + 1
        self._save(self.learning.folder / f"{number}-{END}")
        if is_main():
            self.journal.add(done)
            for path in (folder / START, self.learning.folder / f"{number - 1}-{END}"):
                path.unlink(missing_ok=True)
        else:
            self.journal.stages.append(done)

    @contextmanager
    def _trainer(self, plan: Plan) -> Iterator[HfpipeTrainer]:
        """The Trainer of a stage, fed with kept outputs where it can be."""
        from hfpipe.training.feature_cache import cached
        from hfpipe.training.hub_pushes import HubPushes
        from hfpipe.training.selection import EarlyStopping
        from hfpipe.training.shards import settings_kept
        from hfpipe.training.signed import Signed
        from hfpipe.training.watch import Watch

        learning, batches, stopping = self.learning, plan.recipe.batches, plan.stopping
        folder = plan.folder(learning.folder)
        arguments = training_arguments(plan.recipe, folder, learning.reporting)
        quiet, keep = learning.reporting.quiet, batches.cache
        fed = cached(learning.model, learning.collator, self.splits, quiet, keep)
        with settings_kept(), fed as (collator, (rows, held_out)):
            trainer = build_trainer(
                learning.model,
                arguments,
                collator,
                learning.task,
                rows,
                held_out,
                seed=arguments.seed,
                loss=self.loss,
                rows=step_rows(plan.recipe, arguments),
                max_tokens=batches.max_tokens,
                eval_max_tokens=plan.recipe.evaluation.max_tokens,
                rates=rates_of(
                    learning.model, plan.stage, arguments, plan.place, plan.recipe.rates
                ),
                epsilon=stopping.epsilon,
                watch=Watch(learning.folder.parent, learning.task, plan.name),
                aim=plan.recipe.evaluation.threshold_for,
            )
            trainer.add_callback(
                EarlyStopping(stopping.patience, stopping.min_epochs, stopping.epsilon)
            )
            strategy = str(plan.recipe.training.get("hub_strategy", "end"))
            if learning.pushing and strategy != "end":
                said = trainer.watch.say
                trainer.add_callback(HubPushes(learning.pushing, strategy, said, plan.name))
            trainer.add_callback(Signed(self.journal.identity))
            shift_trackers(trainer, self.offset)
            try:
                yield trainer
            finally:
                # What the accelerator put around ``forward`` would be put around it again.
                trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)

    def _done(self, plan: Plan, trainer: HfpipeTrainer, seconds: float) -> Done:
        """The record of a stage, which says whether its weights go on."""
        state, offset = trainer.state, self.offset
        loaded = state.best_model_checkpoint if trainer.args.load_best_model_at_end else None
        at = int(loaded.rpartition("-")[2]) if loaded else None
        best = evaluation_at(state.log_history, at) if at else {}
        metric = key_of(trainer.args.metric_for_best_model)
        return Done(
            name=plan.name,
            steps=state.global_step,
            epochs=float(state.epoch or 0),
            metric=metric.removeprefix("eval_") if best else None,
            best=best.get(metric),
            best_loss=best.get("eval_loss"),
            best_step=offset.steps + at if best and at else None,
            kept=self._goes_on(trainer, best, metric),
            stopped=state.global_step < state.max_steps,
            seconds=seconds,
            history=[offset.shifted(each) for each in state.log_history],
            warnings=list(trainer.watch.said),
        )

    def _goes_on(self, trainer: HfpipeTrainer, best: Mapping[str, Any], metric: str) -> bool:
        """Whether a stage is better than what it began with, as far as the two can be compared."""
        earlier = next((each for each in reversed(self.journal.stages) if each.kept), None)
        if not best or earlier is None or f"eval_{earlier.metric}" != metric:
            return True
        before = {metric: earlier.best, "eval_loss": earlier.best_loss}
        higher = bool(trainer.args.greater_is_better)
        return better(best, before, metric, higher, trainer.epsilon)  # type: ignore[arg-type]

    def _save(self, path: Path) -> None:
        """All weights of the model, whole or not at all."""
        from safetensors.torch import save_model

        if is_main():
            path.parent.mkdir(parents=True, exist_ok=True)
            draft = path.with_name(f".{path.name}")
            save_model(self.learning.model, str(draft))
            draft.replace(path)
        barrier()

    def _load(self, path: Path) -> None:
        from safetensors.torch import load_model

        load_model(self.learning.model, str(path))
