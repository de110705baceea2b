"""Scored rows that train has too, or nearly."""

from __future__ import annotations

import io
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from sklearn.feature_extraction.text import TfidfVectorizer

from hfpipe.evaluation.leaks import near_duplicates_in_train
from hfpipe.inputs.processor import Processor
from hfpipe.recipe import Input
from tests.inputs.support import fit, picture, rows

TEXT = Input("text", ["text"], optional=True)
VECTOR = Input("vector", ["v"], optional=True)
IMAGE = Input("image", ["image"], optional=True)
LONG = "the quick brown fox jumps over one lazy dog near an old river"


def found(train, scored, **inputs):
    return near_duplicates_in_train(fit(train, **inputs), train, scored)


def test_a_text_that_is_nearly_in_train_is_leaked_and_its_nearest_row_is_named():
    train = rows(text=["a green tree", LONG, "blue sky today"])
    scored = rows(text=[f"{LONG.upper()}!", f"{LONG} bank", "brown fox", "blue sky today", "zebra"])
    leaks = found(train, scored, text=TEXT)
    assert leaks.column == ["leaked", "leaked", "clean", "leaked", "clean"]
    assert leaks.nearest == ["b", "b", "b", "c", None]
    assert leaks.similarity[[0, 3, 4]].round(6).tolist() == [1.0, 1.0, 0.0]
    assert 0.9 < leaks.similarity[1] < 1 > 0.9 > leaks.similarity[2] > 0
    assert leaks.how == "text: TF-IDF cosine above 0.9"


def slowly(train: list[str], scored: list[str], threshold: float):
    """Every pair by its definition: similarity to the nearest, and whether that is too near."""
    try:
        vectors = TfidfVectorizer().fit_transform([*train, *scored]).toarray()
    except ValueError:
        vectors = np.zeros((len(train) + len(scored), 1))
    best = []
    for at, text in enumerate(scored):
        alike = [0.0]
        for place, other in enumerate(train):
            same = bool(text.split()) and text.split() == other.split()
            alike.append(1.0 if same else float(vectors[place] @ vectors[len(train) + at]))
        best.append(max(alike) if text.split() else np.nan)
    return np.array(best)


WORDS = st.sampled_from(["red", "green", "blue", "sky", "sea", "x", "!", "Red"])
TEXTS = st.lists(st.lists(WORDS, max_size=6).map(" ".join), min_size=1, max_size=8)


@settings(deadline=None, max_examples=25)
@given(TEXTS, TEXTS, st.sampled_from([0.5, 0.9]))
def test_texts_are_leaked_as_an_obvious_loop_says(train, scored, threshold):
    first = rows(text=[*train, "some text"])
    processor = fit(first, text=TEXT)
    leaks = near_duplicates_in_train(processor, first, rows(text=scored), threshold)
    wanted = slowly([*train, "some text"], scored, threshold)
    assert leaks.similarity == pytest.approx(wanted, abs=1e-5, nan_ok=True)
    far = ~(np.abs(wanted - threshold) < 1e-5)
    said = np.array([each == "leaked" for each in leaks.column])
    assert said[far].tolist() == (wanted > threshold)[far].tolist()


def test_many_blocks_say_what_one_block_says(monkeypatch):
    draw = np.random.default_rng(0)
    texts = [" ".join(draw.choice(list("abcdefgh"), 6)).replace(" ", "a ") for _ in range(70)]
    train, scored = rows(text=texts[:30]), rows(text=texts[30:])
    whole = found(train, scored, text=TEXT)
    for name in ("FEWEST_ROWS", "MOST_ROWS"):
        monkeypatch.setattr(f"hfpipe.evaluation.leaks.{name}", 7)
    parts = found(train, scored, text=TEXT)
    assert (parts.column, parts.nearest) == (whole.column, whole.nearest)
    assert parts.similarity == pytest.approx(whole.similarity, abs=1e-6)


def test_a_row_without_anything_to_compare_is_clean():
    train = rows(text=["", None, "red"])
    leaks = found(train, rows(text=[None, "  ", "red"]), text=TEXT)
    assert leaks.column == ["clean", "clean", "leaked"]
    assert leaks.nearest == [None, None, "c"]
    assert np.isnan(leaks.similarity).tolist() == [True, True, False]
    signs = found(rows(text=["!", "?"]), rows(text=["?", "?!"]), text=TEXT)
    assert signs.column == ["leaked", "clean"], "the same text without a word is the same text"
    assert signs.nearest == ["b", None]


def test_vectors_by_their_direction():
    train = rows(v=[[1.0, 0.0], None, [0.0, 2.0]])
    scored = rows(v=[[3.0, 0.001], [1.0, 0.1], [0.0, -1.0], None])
    leaks = found(train, scored, v=VECTOR)
    assert leaks.column == ["leaked", "clean", "clean", "clean"]
    assert leaks.nearest == ["a", "a", None, None]
    assert leaks.similarity[1] == pytest.approx(1 / np.hypot(1, 0.1), abs=1e-6)
    assert leaks.how == "v: cosine above 0.999"


def test_an_image_in_another_size_and_format_is_the_same_image():
    draw = np.random.default_rng(0)
    pictures = [
        Image.fromarray(draw.integers(0, 256, (6, 6, 3), np.uint8)).resize((96, 96)) for _ in "abc"
    ]

    def saved(picture, size, **how):
        file = io.BytesIO()
        picture.resize((size, size)).save(file, **how)
        return {"bytes": file.getvalue(), "path": None}

    train = rows(image=[saved(each, 96, format="PNG") for each in pictures[:2]])
    again = saved(pictures[1], 48, format="JPEG", quality=60)
    leaks = found(train, rows(image=[again, saved(pictures[2], 96, format="PNG")]), i=IMAGE)
    assert leaks.column == ["leaked", "clean"]
    assert leaks.nearest[0] == "b"
    assert 0.99 < leaks.similarity[0] < 1
    assert leaks.similarity[1] < 0.9
    assert leaks.how == "i: cosine of small pixels above 0.99"


def test_images_by_their_bytes_and_sequences_by_all_their_numbers():
    red, blue = picture((255, 0, 0)), picture((0, 0, 255))
    leaks = found(rows(image=[red, None]), rows(image=[blue, red, None]), i=IMAGE)
    assert leaks.column == ["clean", "leaked", "clean"]
    assert leaks.nearest == [None, "a", None]
    steps = [[[1.0, 2.0], [3.0, 4.0]], [[1.0, 2.0]]]
    scored = rows(steps=[[[1.0, 2.0]], [[1.0, 2.0], [3.0, 5.0]]])
    leaks = found(rows(steps=steps), scored, s=Input("vector_sequence", ["steps"]))
    assert (leaks.column, leaks.nearest) == (["leaked", "clean"], ["b", None])
    assert leaks.how == "s: the same steps"


def test_all_inputs_of_a_row_must_be_near_in_the_same_train_row():
    red, blue = picture((255, 0, 0)), picture((0, 0, 255))
    train = rows(text=["one two", "six ten", "one two"], image=[red, blue, None])
    scored = rows(
        text=["one two", "one two", None, "one two", "six ten"],
        image=[red, blue, blue, None, None],
    )
    leaks = found(train, scored, text=TEXT, i=IMAGE)
    assert leaks.column == ["leaked", "clean", "leaked", "leaked", "leaked"]
    assert leaks.nearest == ["a", None, "b", "a", "b"]
    assert leaks.how.endswith("; all in the same train row")


def test_the_nearest_of_a_leaked_row_is_one_that_makes_it_leaked():
    # The second train row is nearer in words, but its vector is not near enough.
    train = rows(text=[f"{LONG} bank", LONG], v=[[1.0, 0.0], [1.0, 0.06]])
    leaks = found(train, rows(text=[LONG], v=[[1.0, 0.0]]), text=TEXT, v=VECTOR)
    assert (leaks.column, leaks.nearest) == (["leaked"], ["a"])


def test_numbers_and_categories_count_only_where_there_is_nothing_else():
    number, colour = Input("numeric", ["n"]), Input("categorical", ["colour"])
    train = rows(n=[1.0, 2.0, None], colour=["red", "blue", None], text=["ab cd", "ef gh", "ij"])
    scored = rows(n=[1.0, 1.0, 2.0, None], colour=["red", "blue", "blue", None], text=["ab cd"] * 4)
    leaks = found(train, scored, n=number, c=colour)
    assert leaks.column == ["leaked", "clean", "leaked", "clean"]
    assert leaks.nearest == ["a", None, "b", None]
    assert found(train, scored, n=number, c=colour, text=TEXT).column == ["leaked"] * 4
    unseen = rows(n=[5.0, 1.0], colour=["green", "pink"])
    assert found(train, unseen, n=number, c=colour).column == ["clean", "clean"]
    spelt = found(rows(n=[1.0, -0.0]), rows(n=["1", "0"]), n=number)
    assert spelt.column == ["leaked", "leaked"], "equal numbers, however they are written"


def test_train_may_call_its_columns_otherwise():
    train = rows(text=["red green", "blue sky"])
    first = fit(train, text=TEXT)
    second = Processor({"text": first.inputs["text"].with_columns(["body"])}, None)
    scored = rows(body=["blue sky", "grey"])
    leaks = near_duplicates_in_train(second, train, scored, train_processor=first)
    assert (leaks.column, leaks.nearest) == (["leaked", "clean"], ["b", None])


def test_without_rows_on_either_side():
    train = rows(text=["red", "blue"])
    processor = fit(train, text=TEXT)
    none = train.select([])
    assert near_duplicates_in_train(processor, none, train).column == ["clean", "clean"]
    assert near_duplicates_in_train(processor, train, none).column == []


def test_many_rows_take_seconds():
    draw = np.random.default_rng(0)
    words = np.array([f"word{at}" for at in range(20_000)])
    # Some words are in most texts, as in any language.
    texts = [" ".join(words[draw.zipf(1.3, 12) % 20_000]) for _ in range(4000)]
    train, scored = rows(text=texts[:3500]), rows(text=texts[3500:])
    start = time.process_time()
    leaks = found(train, scored, text=TEXT)
    assert len(leaks.column) == 500
    assert time.process_time() - start < 5, "28,000 x 4,000 pairs are 64 times as many"
