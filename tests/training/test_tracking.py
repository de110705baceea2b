"""W&B runs lie where they are said to lie."""

from __future__ import annotations

from pathlib import Path

from hfpipe.tracking import tracking


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
