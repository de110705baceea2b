"""datasets and transformers as anybody runs them: an address, a token, no hfpipe."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

SCRIPT = """
import io, sys
from huggingface_hub import CommitOperationAdd, HfApi
import pyarrow as pa, pyarrow.parquet as pq
from datasets import Dataset, load_dataset

api = HfApi()
api.create_repo("local/rows", repo_type="dataset", private=True)
operations = []
for split, count in (("train", 60), ("validation", 20), ("test", 20)):
    texts = [f"{split} {i}" for i in range(count)]
    table = pa.table({"text": texts, "label": ["a", "b"] * (count // 2)})
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    path = f"data/{split}-00000-of-00001.parquet"
    operations.append(CommitOperationAdd(path, buffer.getvalue()))
api.create_commit("local/rows", operations, commit_message="Rows", repo_type="dataset")
rows = load_dataset("local/rows")
print("splits", {name: len(split) for name, split in rows.items()}, rows["test"][3])
streamed = load_dataset("local/rows", split="test", streaming=True)
print("streamed", sum(1 for _ in streamed))
Dataset.from_dict({"x": [1, 2, 3]}).push_to_hub("local/pushed", private=True)
print("pushed", load_dataset("local/pushed", split="train")["x"][:])

from transformers import AutoModel, AutoTokenizer, BertConfig, BertForSequenceClassification
from transformers import BertTokenizerFast, pipeline
words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "good", "bad"]
open(sys.argv[1], "w").write("\\n".join(words))
config = BertConfig(
    vocab_size=7, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=32,
    id2label={0: "down", 1: "up"}, label2id={"down": 0, "up": 1},
)
model = BertForSequenceClassification(config)
model.push_to_hub("local/tiny", private=True)
BertTokenizerFast(vocab=sys.argv[1]).push_to_hub("local/tiny")
loaded = AutoModel.from_pretrained("local/tiny")
name = "embeddings.word_embeddings.weight"
same = bool((loaded.state_dict()[name] == model.bert.state_dict()[name]).all())
tokenizer = AutoTokenizer.from_pretrained("local/tiny")
print("model", type(loaded).__name__, same, tokenizer("good")["input_ids"])
print("pipeline", pipeline(model="local/tiny")("good bad")[0]["label"] in ("up", "down"))
before = api.model_info("local/tiny").sha
model.push_to_hub("local/tiny")
print("unchanged", api.model_info("local/tiny").sha == before)
"""


@pytest.fixture(scope="module")
def printed(server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run the script in a process of its own and give its lines by their first words."""
    vocabulary = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    result = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT), str(vocabulary)],
        env=server.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return dict(line.split(" ", 1) for line in result.stdout.splitlines())


def test_load_dataset_reads_a_parquet_repo(printed: dict[str, str]) -> None:
    assert printed["splits"] == (
        "{'train': 60, 'validation': 20, 'test': 20} {'text': 'test 3', 'label': 'b'}"
    )
    assert printed["streamed"] == "20"


def test_dataset_push_to_hub(printed: dict[str, str]) -> None:
    assert printed["pushed"] == "[1, 2, 3]"


def test_model_is_pushed_and_loaded(printed: dict[str, str]) -> None:
    assert printed["model"] == "BertModel True [2, 5, 3]"
    assert printed["unchanged"] == "True"


def test_pipeline_knows_the_task_from_the_repo(printed: dict[str, str]) -> None:
    assert printed["pipeline"] == "True"
