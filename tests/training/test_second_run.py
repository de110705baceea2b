"""A second run over what an earlier one left, with columns named like the tensors of a batch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest

from hfpipe.evaluating import EvaluateOptions, evaluate
from hfpipe.finetuning import FinetuneOptions, finetune
from hfpipe.hub.publish import publish
from hfpipe.hub.repos import api
from hfpipe.recipe import load_recipe

if TYPE_CHECKING:
    from hfpipe.finetuning import Finetuned
    from hfpipe.hub.endpoint import Endpoint

ROWS = pd.DataFrame(
    {
        "length": [f"{number} {'dog cat' if number % 2 else 'rose tree'}" for number in range(60)],
        "labels": [1.0 + number % 2 for number in range(60)],
    }
)
STALE = ("model-00001-of-00002.safetensors", "model.safetensors.index.json", "spm.model")


@pytest.fixture(scope="module")
def tuned(hub: Endpoint, tiny_bert: str, tmp_path_factory: pytest.TempPathFactory) -> Finetuned:
    folder = tmp_path_factory.mktemp("second")
    ROWS.to_parquet(folder / "rows.parquet", index=False)
    splits = {f"data/{split}.parquet": folder / "rows.parquet" for split in ("train", "validation")}
    publish(hub, "local/tensor-names", "dataset", splits, "rows")
    held = dict.fromkeys((*STALE, "notes.md"), b"of another model")
    publish(hub, "local/second", "model", held, "what was there before")
    recipe = load_recipe(
        "topics_minilm",
        [
            "data.dataset=local/tensor-names",
            f"model.base={tiny_bert}",
            "data.inputs.text.columns=[length]",
            "data.label=labels",
            "training.num_train_epochs=1",
        ],
    )
    options = FinetuneOptions("local/second", folder / "run", wandb=False, quiet=True)
    return finetune(recipe, hub, options)


def test_what_an_earlier_model_left_goes_and_what_people_wrote_stays(hub: Endpoint, tuned):
    files = set(api(hub).list_repo_files("local/second", revision=tuned.model.revision))
    assert {"model.safetensors", "notes.md"} <= files
    assert not files.intersection(STALE)
    assert [each.title for each in api(hub).list_repo_commits("local/second")][1] == (
        "what was there before"
    )


@pytest.mark.parametrize("suffix", [".parquet", ".csv", ".jsonl"])
def test_whole_numbers_are_the_same_labels_in_every_kind_of_file(
    hub: Endpoint, tuned, tmp_path: Path, suffix: str
):
    file = tmp_path / f"rows{suffix}"
    if suffix == ".parquet":
        ROWS.to_parquet(file, index=False)
    elif suffix == ".csv":
        ROWS.to_csv(file, index=False)
    else:
        ROWS.to_json(file, orient="records", lines=True)
    options = EvaluateOptions(file=file, out=tmp_path, baselines=False, quiet=True)
    done = evaluate("local/second", hub, options)
    assert (done.record.n, done.rows) == (60, 60)
    assert list(done.record.per_class) == ["1", "2"]
    assert [values["support"] for values in done.record.per_class.values()] == [30, 30]
