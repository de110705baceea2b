"""The verbs as functions, in one process of their own as a notebook has it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.toys import toy_rows, write_jsonl

NOTEBOOK = """
import json, sys
import hfpipe

seen = {"light": sorted({name.partition(".")[0] for name in sys.modules}), "dir": dir(hfpipe)}
from pathlib import Path
from hfpipe.errors import UserError

folder, hub = Path(sys.argv[1]), f"local:{sys.argv[2]}"
prepared = hfpipe.prepare(
    folder / "rows.jsonl",
    hub=hub,
    text="text",
    label="topic",
    id_column="row_id",
    sizes=[0.6, 0.2, 0.2],
    clean=False,
    clusters=False,
    audit=False,
    target="toys",
    out=folder / "data",
    quiet=True,
)
tuned = hfpipe.finetune(
    "topics_minilm",
    dataset="toys",
    target="toys-model",
    out=folder / "run",
    hub=hub,
    quiet=True,
    model__base="tiny/bert",
    training__num_train_epochs=16,
    training__per_device_train_batch_size=16,
    training__seed=1,
    **{"training.learning_rate": 2e-3},
)
done = hfpipe.evaluate("toys-model", hub=hub, out=str(folder / "scores"), quiet=True)
model = hfpipe.load("toys-model", hub=hub)

import pandas as pd
from datasets import load_dataset

texts = ["the dog", "the the rose", "a hammer", "the the the tree"]
rows = [{"text": text, "beside": at} for at, text in enumerate(texts)]
from datasets import Dataset

forms = {
    "dicts": rows,
    "frame": pd.DataFrame(rows, index=[7, 8, 9, 10]),
    "dataset": Dataset.from_list(rows),
    "texts": texts,
    "in_twos": rows,
}
said = {
    name: model.predict(each, batch_size=2 if name == "in_twos" else 64)
    for name, each in forms.items()
}
held_out = load_dataset("local/toys", split="test")
seen |= {
    "splits": {"train": tuned.train_rows, "validation": tuned.record.n, "test": done.record.n},
    "target": [tuned.model.repo_id, model.repo_id, model.revision == tuned.model.revision],
    "accuracy": done.record.metrics["accuracy"],
    "baselines": sorted(done.record.baselines),
    "files": [done.metrics.name, done.predictions.name, done.report.name],
    "said": said,
    "nothing": model.predict([]),
    "on_test": model.predict(held_out),
}


def line(call):
    try:
        call()
    except UserError as error:
        return str(error)


seen["lines"] = [
    line(lambda: hfpipe.prepare("rows.jsonl", hub=hub, lable="topic")),
    line(lambda: hfpipe.finetune("topics_minilm", hub=hub, datset="toys")),
    line(lambda: hfpipe.finetune("topics_minilm", hub=hub, dataset="toys", training__sed=7)),
    line(lambda: hfpipe.finetune("topics_minlm", hub=hub, dataset="toys")),
    line(lambda: hfpipe.evaluate("toys-model", hub=hub, splits="test")),
    line(lambda: hfpipe.load("toys-modle", hub=hub)),
    line(lambda: model.predict([{"txt": "the dog"}])),
    line(lambda: model.predict([1, 2])),
    line(lambda: model.predict(["the dog", ""])),
]
(folder / "seen.json").write_text(json.dumps(seen))
"""


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("notebook")


@pytest.fixture(scope="module")
def seen(hub, tiny_bert, place) -> dict:
    from transformers import AutoModel, AutoTokenizer

    from hfpipe.hub.embedded import import_repo

    bert = place / "bert"
    for each in (AutoModel, AutoTokenizer):
        each.from_pretrained(tiny_bert).save_pretrained(bert)
    import_repo(place / "hub", "tiny/bert", str(bert))
    write_jsonl(place / "rows.jsonl", toy_rows(150, 1))
    clean = {
        name: value
        for name, value in os.environ.items()
        if name not in ("HF_ENDPOINT", "HF_TOKEN", "HFPIPE_HUB")
    }
    done = subprocess.run(
        [sys.executable, "-c", NOTEBOOK, str(place), str(place / "hub")],
        cwd=place,
        env=clean | {"HF_HOME": str(place / "hf")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict = json.loads((place / "seen.json").read_text())
    return found


def test_importing_it_is_light_and_dir_names_the_verbs(seen):
    heavy = {"torch", "transformers", "datasets", "pandas", "numpy", "sklearn", "omegaconf"}
    assert heavy.isdisjoint(seen["light"])
    assert {"prepare", "finetune", "evaluate", "load", "SequenceClassifier"} <= set(seen["dir"])


def test_rows_become_a_dataset_a_model_and_scores(seen, place):
    assert seen["splits"] == {"train": 90, "validation": 30, "test": 30}
    assert seen["target"] == ["local/toys-model", "local/toys-model", True]
    assert seen["accuracy"] > 0.9
    assert "majority" in seen["baselines"]
    assert seen["files"] == ["metrics.json", "predictions.jsonl", "report.html"]
    record = json.loads((place / "scores" / "metrics.json").read_text())
    assert record["metrics"]["accuracy"] == seen["accuracy"]
    assert (place / "run" / "report.html").is_file()
    assert not (place / "runs").exists()


def test_every_form_of_the_same_rows_is_told_the_same(seen):
    said = seen["said"]
    names = [row["prediction"] for row in said["dicts"]]
    assert names == ["animal", "plant", "tool", "plant"]
    assert [row["inputs"] for row in said["dicts"]][1] == {"text": "the the rose"}
    for form, rows in said.items():
        assert [row["prediction"] for row in rows] == names, form
        for row, other in zip(rows, said["dicts"], strict=True):
            assert row["labels"] == other["labels"], form
            assert row["scores"] == pytest.approx(other["scores"], abs=2e-6), form
            assert row["truth"] is None
    assert seen["nothing"] == []


def test_predict_says_what_evaluate_wrote(seen, place):
    lines = (place / "scores" / "predictions.jsonl").read_text().splitlines()
    written = {row["row_id"]: row for row in map(json.loads, lines)}
    assert [row["row_id"] for row in seen["on_test"]] == list(written)
    for row in seen["on_test"]:
        assert row["scores"] == pytest.approx(written[row["row_id"]]["scores"], abs=2e-6)


def test_a_wrong_name_is_one_line_with_the_nearest_one(seen):
    words = [
        "prepare: no option 'lable'; did you mean 'label'",
        "finetune: no argument 'datset'; did you mean 'dataset'",
        "unknown key 'training.sed'; did you mean 'training.seed'",
        "'topics_minlm'; did you mean 'topics_minilm'",
        "evaluate: no option 'splits'; did you mean 'split'",
        "'local/toys-modle'",
        "rows has no column 'text'",
        "give a list of dicts, a data frame or a datasets.Dataset",
        "rows: row '1': nothing in 'text'",
    ]
    assert len(seen["lines"]) == len(words)
    for line, wanted in zip(seen["lines"], words, strict=True):
        assert wanted in line
        assert "\n" not in line
