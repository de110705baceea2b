"""The ``hfpipe`` command: mounts the verbs and turns errors into one line and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any, NoReturn

import typer
from typer.exceptions import TyperException

from hfpipe.cli.compare import compare
from hfpipe.cli.demo import demo
from hfpipe.cli.env import env
from hfpipe.cli.evaluate import evaluate
from hfpipe.cli.finetune import finetune
from hfpipe.cli.hub import app as hub
from hfpipe.cli.legacy import modern_arguments
from hfpipe.cli.predict import predict
from hfpipe.cli.prepare import prepare
from hfpipe.cli.recipes import app as recipes
from hfpipe.errors import HfpipeError
from hfpipe.hub.provenance import redacted
from hfpipe.processes import count, place
from hfpipe.version import __version__

EXAMPLES = {
    "prepare": "hfpipe prepare rows.jsonl.gz --text definition --label subject "
    "--target NAMESPACE/topics --out data",
    "finetune": "hfpipe finetune --recipe topics_minilm --dataset NAMESPACE/topics "
    "--target NAMESPACE/topics-minilm training.num_train_epochs=2",
    "evaluate": "hfpipe evaluate NAMESPACE/topics-minilm --out runs/test",
    "predict": "hfpipe predict NAMESPACE/topics-minilm --input new.csv --output submission.csv "
    "--columns id,label=prediction",
    "compare": "hfpipe compare NAMESPACE/topics-minilm NAMESPACE/topics-large runs/mine "
    "--metric macro_f1",
    "demo": "hfpipe demo --out runs/demo",
    "env": "hfpipe env",
}

SIGNALLED = {130: "interrupted", 143: "terminated"}
OTHERS = (
    ": either all processes of this run were told to end, or another process of this run died, and "
    "its own message says why; the same command with --resume goes on from the last checkpoint"
)

app = typer.Typer(
    help="Labelled rows to a dataset, a fine-tuned model and an honest evaluation on a Hub.",
    epilog="Start with: hfpipe demo",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for _verb in (prepare, finetune, evaluate, predict, compare, demo, env):
    _name = _verb.__name__
    app.command(_name, epilog=f"Example: {EXAMPLES[_name]}")(_verb)
app.add_typer(recipes, name="recipes")
app.add_typer(hub, name="hub")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"hfpipe {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: bool = typer.Option(
        False, "--version", callback=_show_version, is_eager=True, help="Show the version."
    ),
) -> None:
    """Labelled rows to a dataset, a fine-tuned model and an honest evaluation on a Hub."""


def main() -> None:
    """Run the command line; leave with 0, 1 (it failed), 2 (wrong input), 130 or 143."""
    arguments = modern_arguments(sys.argv[1:])
    # Trackers and libraries record the command line that they find here.
    sys.argv = redacted(sys.argv)
    if "--quiet" in arguments or not sys.stderr.isatty():
        os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
        os.environ.setdefault("HF_DATASETS_DISABLE_PROGRESS_BARS", "1")
    debug = "--debug" in arguments
    # A polite end unwinds like Ctrl-C does: the embedded Hub and half-written folders go with it.
    with suppress(ValueError):  # only the main thread may ask for it
        signal.signal(signal.SIGTERM, _terminate)
    try:
        sys.exit(app(args=arguments, prog_name="hfpipe", standalone_mode=False) or 0)
    except HfpipeError as error:
        _leave(error, str(error), error.exit_code, debug)
    except TyperException as error:
        _leave_usage(error, debug)
    except (KeyboardInterrupt, typer.Abort, SystemExit) as left:
        code = left.code if isinstance(left, SystemExit) else 130
        if code not in SIGNALLED:
            raise
        _leave(left, SIGNALLED[code] + (OTHERS if count() > 1 else ""), code, debug)
    except Exception as error:  # the last resort: a person sees a line, never a traceback
        line = " ".join(str(error).split())[:300]
        hint = "" if debug else " (run it again with --debug for the traceback)"
        _leave(error, f"{type(error).__name__}: {line}{hint}", 1, debug)


def _leave_usage(error: Any, debug: bool) -> NoReturn:
    """A command line that Typer cannot read: one line too, or the help where nothing was given."""
    said = error.format_message()
    if said.startswith("Usage:"):
        print(said, file=sys.stderr)
        sys.exit(2)
    verb = error.ctx.command_path if error.ctx else "hfpipe"
    _leave(error, f"{' '.join(said.split()).rstrip('.')}; see '{verb} --help'", 2, debug)


def _terminate(number: int, frame: object) -> NoReturn:
    sys.exit(128 + number)


def _leave(error: BaseException, line: str, code: int, debug: bool) -> NoReturn:
    if debug:
        import traceback

        traceback.print_exception(error)
    print(f"error: {place()}{line}", file=sys.stderr)
    with suppress(ValueError):  # what started several processes now ends those that are left
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
    sys.exit(code)
