"""A progress bar that shows the loss beside it and one line an evaluation."""

from __future__ import annotations

from typing import Any

from transformers.trainer_callback import ProgressCallback


class Progress(ProgressCallback):
    """The Trainer's bar; logs go behind the bar instead of above it.

    Args:
        stage: Written before the bar; empty for nothing.
    """

    def __init__(self, stage: str = "") -> None:
        super().__init__()
        self.stage = stage

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Open the bar."""
        super().on_train_begin(args, state, control, **kwargs)
        if self.training_bar is not None and self.stage:
            self.training_bar.set_description(f"Stage {self.stage}", refresh=False)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Show the running loss behind the bar."""
        if self.training_bar is not None and logs and "loss" in logs:
            self.training_bar.set_postfix_str(f"loss {float(logs['loss']):.3f}", refresh=False)

    def on_evaluate(
        self, args: Any, state: Any, control: Any, metrics: Any = None, **kwargs: Any
    ) -> None:
        """Print what validation says, in one line."""
        super().on_evaluate(args, state, control, **kwargs)
        if self.training_bar is not None and metrics:
            best = args.metric_for_best_model or "loss"
            shown = dict.fromkeys([best.removeprefix("eval_"), "loss"])
            scores = ", ".join(
                f"{name} {metrics[f'eval_{name}']:.4f}"
                for name in shown
                if f"eval_{name}" in metrics
            )
            self.training_bar.write(f"epoch {state.epoch:g}: validation {scores}")
