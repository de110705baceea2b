"""``topics_deberta``: the same recipe on another architecture, with a sentencepiece tokenizer."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.conftest import TINY_DEBERTA
from tests.toys import PREPARED, push_rows, read_jsonl, toy_rows

MODEL, DATASET = "local/deberta-model", "local/deberta-rows"


@pytest.fixture(scope="module")
def tiny_deberta(hub, hub_directory, tmp_path_factory, topic_rows) -> str:
    """DeBERTa-v3's architecture in small, under its name; its tokenizer is trained on our rows."""
    import sentencepiece
    from transformers import DebertaV2Config, DebertaV2Model, set_seed

    from hfpipe.hub.embedded import import_repo

    folder = tmp_path_factory.mktemp("tiny-deberta")
    texts = [row["definition"] for row in topic_rows] + [row["text"] for row in toy_rows(90, 1)]
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_prefix=str(folder / "spm"),
        vocab_size=500,
        minloglevel=2,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
        user_defined_symbols=["[MASK]"],
    )
    (folder / "spm.vocab").unlink()
    named = {"tokenizer_class": "DebertaV2Tokenizer", "vocab_type": "spm", "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(named))
    set_seed(0)
    config = DebertaV2Config(
        vocab_size=500,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        relative_attention=True,
        position_buckets=256,
        norm_rel_ebd="layer_norm",
        share_att_key=True,
        pos_att_type=["p2c", "c2p"],
        position_biased_input=False,
        type_vocab_size=0,
        pad_token_id=0,
    )
    DebertaV2Model(config).save_pretrained(folder)
    import_repo(hub_directory, TINY_DEBERTA, folder)
    return TINY_DEBERTA


def test_the_recipe_runs_on_deberta_v3_with_sentencepiece(cli, hub, tiny_deberta, tmp_path):
    from huggingface_hub import hf_hub_download
    from transformers import pipeline

    def pushed(path: str) -> dict:
        return json.loads(Path(hf_hub_download(MODEL, path, token=hub.token)).read_text())

    splits = {"train": toy_rows(150, 1), "validation": toy_rows(30, 2), "test": toy_rows(30, 3)}
    push_rows(hub, DATASET, PREPARED, **splits)
    # No --base-model: the recipe names it.
    ran = cli(
        *("finetune", "--recipe", "topics_deberta", "--dataset", DATASET, "--target", MODEL),
        *("--no-wandb", "--out", tmp_path / "run"),
        *("training.learning_rate=2e-3", "training.num_train_epochs=16"),
        "training.per_device_train_batch_size=16",
        "training.seed=1",
    )
    assert ran.code == 0, ran.err
    config = pushed("config.json")
    assert config["architectures"] == ["DebertaV2ForSequenceClassification"]
    assert config["model_type"] == "deberta-v2"
    assert config["id2label"] == {"0": "animal", "1": "plant", "2": "tool"}
    story = pushed("hfpipe/run.json")
    assert story["base_model"]["repo_id"] == "microsoft/deberta-v3-base"
    assert story["recipe"] == "topics_deberta"

    ran = cli("evaluate", MODEL, "--out", tmp_path / "scores")
    assert ran.code == 0, ran.err
    record = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert (record["n"], record["dataset"]) == (30, DATASET)
    assert record["metrics"]["accuracy"] > 0.8
    rows = read_jsonl(tmp_path / "scores" / "predictions.jsonl")
    said = pipeline("text-classification", model=MODEL, token=hub.token)(
        [row["inputs"]["text"] for row in rows]
    )
    for each, row in zip(said, rows, strict=True):
        ours = dict(zip(row["labels"], row["scores"], strict=True))
        # Within what bfloat16 costs where a machine scores in it.
        assert each["score"] == pytest.approx(ours[each["label"]], abs=0.03)
