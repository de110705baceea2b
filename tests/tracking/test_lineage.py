"""Dataset and model as artifacts of a run, as an offline run keeps them for ``wandb sync``."""

from __future__ import annotations

import json

from hfpipe.tracking import log_lineage
from hfpipe.tracking.lineage import Repo
from tests.tracking.support import offline, read_back

HUB = "http://127.0.0.1:9"  # nothing answers there: references are not fetched
DATA = Repo("ada/topics", "d" * 40, "dataset", {"train_rows": 7})
BASE = Repo("tiny/bert", "b" * 40)
MODEL = Repo("ada/topics-bert", "m" * 40)


def references(artifact) -> dict[str, str]:
    return {each.path: each.ref for each in artifact.manifest.contents if each.ref}


def files(artifact) -> dict[str, str]:
    return {each.path: each.local_path for each in artifact.manifest.contents if not each.ref}


def test_a_run_uses_dataset_and_base_model_and_makes_the_model(tmp_path):
    kept = [tmp_path / "report.html", tmp_path / "metrics.json"]
    for path in kept:
        path.write_text(path.name)
    with offline(tmp_path) as run:
        log_lineage(run, HUB, used=[DATA, BASE], made=MODEL, files=kept)
    found = read_back(tmp_path).artifacts
    assert set(found) == {"dataset-ada-topics", "model-tiny-bert", "model-ada-topics-bert"}
    data, base, model = found["dataset-ada-topics"], found["model-tiny-bert"], found[MODEL.name]
    assert [each.type for each in (data, base, model)] == ["dataset", "model", "model"]
    assert [each.use_after_commit for each in (data, base, model)] == [True, True, False]
    assert references(data) == {"repo": f"{HUB}/datasets/ada/topics/tree/{'d' * 40}"}
    assert references(base) == {"repo": f"{HUB}/tiny/bert/tree/{'b' * 40}"}
    assert references(model) == {"repo": f"{HUB}/ada/topics-bert/tree/{'m' * 40}"}
    assert files(model) == {path.name: str(path) for path in kept}
    assert json.loads(data.metadata)["train_rows"] == 7
    assert json.loads(model.metadata)["revision"] == "m" * 40
    assert [set(each.aliases) for each in (data, model)] == [
        {"latest", "d" * 12},
        {"latest", "m" * 12},
    ]


def test_an_evaluation_uses_the_model_and_keeps_its_files(tmp_path):
    (tmp_path / "metrics.json").write_text("{}")
    rows = Repo("data/rows.csv", "sha256:" + "c" * 64, "dataset")
    with offline(tmp_path) as run:
        log_lineage(run, HUB, used=[MODEL, rows], files=[tmp_path / "metrics.json"])
        name = f"evaluation-{run.id}"
    found = read_back(tmp_path).artifacts
    assert found["model-ada-topics-bert"].use_after_commit
    assert references(found["dataset-data-rows.csv"]) == {}
    assert json.loads(found["dataset-data-rows.csv"].metadata)["revision"] == rows.revision
    assert found[name].type == "evaluation"
    assert files(found[name]) == {"metrics.json": str(tmp_path / "metrics.json")}
