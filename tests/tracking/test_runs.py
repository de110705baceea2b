"""W&B runs lie where they are said to lie, are called as they should be, and keep no secret."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from hfpipe.tracking import log_evaluation, tracking
from hfpipe.tracking.runs import events_folder
from tests.tracking.support import classes, offline, read_back

TOKEN = "hf_" + "Zq7" * 11
KEY = "4f" * 20


def test_a_relative_folder_is_of_this_process_not_of_the_service(tmp_path, monkeypatch):
    """W&B's service keeps the working folder in which its first run was started."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        with tracking(Path("run"), name=name, group="tests", config={"a": 1}) as run:
            run.log({"loss": 1.0})
    for name in ("first", "second"):
        assert len(list((tmp_path / name).rglob("run-*.wandb"))) == 1, name


def test_without_tracking_nothing_is_written(tmp_path):
    with tracking(tmp_path, name="a", group="tests", config={}, enabled=False) as run:
        assert run is None
    assert not list(tmp_path.iterdir())


def test_config_is_flat_and_a_run_is_found_by_group_type_and_tags(tmp_path):
    config = {"name": "topics", "training": {"seed": 7, "warmup": {"steps": 3}}, "stages": {}}
    more = {"job_type": "evaluate", "tags": ["classification", "x" * 90]}
    with offline(tmp_path, group="topics", config=config, **more):
        pass
    found = read_back(tmp_path)
    told = {key: value for key, value in found.config.items() if key != "_wandb"}
    assert told == {"name": "topics", "training.seed": 7, "training.warmup.steps": 3}
    assert (found.run.display_name, found.run.run_group) == ("n", "topics")
    assert found.run.job_type == "evaluate"
    assert list(found.run.tags) == ["classification", "x" * 64]
    assert found.run.project == "hfpipe"


def test_the_environment_of_a_sweep_is_stronger(tmp_path, monkeypatch):
    said = {"NAME": "mine", "RUN_GROUP": "grid", "JOB_TYPE": "sweep", "TAGS": "a,b", "RUN_ID": "s1"}
    for name, value in said.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    with offline(tmp_path, run_id="other", tags=["c"]):
        pass
    found = read_back(tmp_path).run
    assert (found.run_id, found.display_name, found.run_group) == ("s1", "mine", "grid")
    assert (found.job_type, list(found.tags)) == ("sweep", ["a", "b"])


@pytest.fixture
def logged_out():
    """Afterwards W&B has forgotten the key, which it would go online with in the next test."""
    yield
    from wandb.sdk.lib.wbauth import unauthenticate_session

    unauthenticate_session()


def test_no_secret_is_in_the_files_of_a_run(tmp_path, monkeypatch, logged_out):
    for name in ("HF_TOKEN", "HF_HUB_TOKEN"):
        monkeypatch.setenv(name, TOKEN)
    monkeypatch.setenv("WANDB_API_KEY", "")
    monkeypatch.setenv("WANDB_MODE", "offline")
    command = ["hfpipe", "finetune", "--hf-access-token", TOKEN, f"--wandb-access-token={KEY}"]
    monkeypatch.setattr(sys, "argv", command)
    config = {"training": {"hub_token": TOKEN, "seed": 1}, "password": KEY}
    evaluation = classes()
    with offline(tmp_path, key=KEY, config=config) as run:
        log_evaluation(run, evaluation.record, evaluation.rows)
    assert sys.argv == command
    assert read_back(tmp_path).config["training.seed"] == 1
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) > 5
    for path in files:
        for secret in (TOKEN, KEY):
            assert secret.encode() not in path.read_bytes(), path
    assert b"--hf-access-token" in b"".join(path.read_bytes() for path in files)


def test_events_go_below_the_run_folder_unless_the_environment_says_where(tmp_path, monkeypatch):
    monkeypatch.delenv("TENSORBOARD_LOGGING_DIR", raising=False)
    with tracking(tmp_path, name="a", group="g", config={}, enabled=False):
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(tmp_path / "tensorboard")
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ
    monkeypatch.setenv("TENSORBOARD_LOGGING_DIR", "/elsewhere")
    with tracking(tmp_path, name="a", group="g", config={}, enabled=False):
        assert events_folder(tmp_path) == Path("/elsewhere")
