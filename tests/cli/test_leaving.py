"""How a command ends: on Ctrl-C, and what it leaves of a token."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.mark.parametrize(
    ("sent", "code", "said"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_a_signal_is_one_line_and_its_code(sent: int, code: int, said: str, tmp_path: Path):
    rows = tmp_path / "rows.jsonl"
    os.mkfifo(rows)
    command = ["prepare", str(rows), "--text", "t", "--label", "l", "--out", str(tmp_path / "out")]
    process = subprocess.Popen(
        [sys.executable, "-m", "hfpipe", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        # A shell's background job would ignore it, and hand that on.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    with rows.open("wb"):  # opens once the command reads
        process.send_signal(sent)
        out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (code, "", f"error: {said}\n")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "given", [["--hf-access-token", "hf_s3cret"], ["--hf-access-token=hf_s3cret"]]
)
def test_nothing_finds_a_token_in_the_command_line(given: list[str], cli: Callable, hub):
    # W&B, for one, writes sys.argv into the files of a run.
    done = cli("finetune", "--dataset", "local/none", *given)
    assert done.code == 2
    assert "hf_s3cret" not in done.out + done.err + " ".join(sys.argv)
    assert "***" in " ".join(sys.argv)


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("training.hub_token=hf_s3cret", "use the environment's HF_TOKEN"),
        ("training.output_dir=x", "use --out DIR"),
        ("training.label_smoothing_factor=0.1", "use model.loss.label_smoothing"),
        ("training.seed=1,2", "give one value to one key"),
        ("~training.seed=1", "give one value to one key"),
        ("training.seed=${nowhere}", "'nowhere' not found"),
    ],
)
def test_overrides_that_cannot_be_meant(override: str, said: str, cli: Callable, hub):
    done = cli("finetune", "--dataset", "local/none", override)
    assert done.code == 2
    assert said in done.err
    assert len(done.err.splitlines()) == 1
    assert "hf_s3cret" not in done.err


def test_out_that_is_a_file_is_refused_before_any_work(cli: Callable, hub, tmp_path: Path):
    place = tmp_path / "file"
    place.write_text("mine")
    for command in (["finetune", "--dataset", "local/none"], ["evaluate", "local/none"]):
        done = cli(*command, "--out", place)
        assert done.code == 2
        assert f"{place} may not be written to" in done.err
    assert place.read_text() == "mine"


@pytest.mark.parametrize("token", ["hf_s3cret\nhf_more", "hf_s3cret more", "hf_s3crét"])
def test_a_token_that_no_header_can_hold_is_not_shown(token: str, cli: Callable, hub):
    # The HTTP client's own message would hold the whole header.
    done = cli("finetune", "--dataset", "local/none", "--hf-access-token", token)
    assert done.code == 2
    assert done.err.startswith("error: the Hub token has a space")
    assert "s3cr" not in done.out + done.err
