"""What holds for every text: garbage, edge cases, and long texts of the worst kind."""

from __future__ import annotations

import itertools
import re
from unicodedata import category, normalize

import pytest
from ftfy import TextFixerConfig, fix_text
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep.steps import Judge, Rewriter, Step, build_steps, step_names
from data_prep.steps.boilerplate import Boilerplate
from data_prep.steps.control_characters import ControlCharacters
from data_prep.steps.length import Length
from data_prep.steps.repetition import SHORTEST_RUN, Repetition, repeated_characters
from data_prep.steps.unicode import Unicode
from data_prep.steps.whitespace import Whitespace

# What steps look for, whole and in pieces, so that rewriting one piece may make another.
ODD = (
    "a b A é e\u0301 Ã Ã© â€œ â€ \x9d ﬁ \uff41 \u2019 \x85 \u2028 \u00a0 \x00 \x1b [0m \x1b[1m "
    "\ufeff \u200b \u200c \u200d \u202e \U0001f3f4 \U000e0067 \ud83d \ude00 "
    "< > </ <b> </b> <p /> ' \" = <!-- --> <script> </script> & ; amp; &amp; &lt; &gt; #38 &#60; "
    "@ . - + _ , : ( ) / | :// http www. a@b.c x.org 0 1 555 1234 030 +49 (030) <url> <email>"
)
PIECES = st.sampled_from(
    [*ODD.split(" "), " ", "  ", "\t", "\n", "\r", "\r\n", "\f", "all rights reserved", "read more"]
)
TEXTS = st.lists(PIECES, max_size=14).map("".join) | st.text(
    st.characters(exclude_categories=()), max_size=40
)
OPTIONS = {
    "unicode": ["unicode:html_entities=true,straight_quotes=true,width=true,form=NFKC"],
    "control_characters": ["control_characters:line_ends=false,joiners=false"],
    "whitespace": ["whitespace:lines=false"],
    "html": ["html:entities=false"],
    "mask": ["mask:mentions=true", "mask:urls=false,emails=false"],
}
REWRITERS = [
    spec
    for name in step_names()
    for spec in (name, *OPTIONS.get(name, []))
    if isinstance(build_steps([name])[0], Rewriter)
]


def made(spec: str) -> Step:
    (step,) = build_steps([spec])
    return step


def run(step: Step, texts: list[str]) -> list[str | None]:
    return list(step.rewrite(texts) if isinstance(step, Rewriter) else step.judge(texts))


@pytest.mark.parametrize("spec", REWRITERS)
@given(text=TEXTS)
@settings(max_examples=40, deadline=None)
def test_rewriting_twice_is_rewriting_once(spec, text):
    step = made(spec)
    (once,) = step.rewrite([text])
    (twice,) = step.rewrite([once])
    assert twice is once
    assert (once is text) == (once == text)


@pytest.mark.parametrize("name", step_names())
@given(texts=st.lists(TEXTS, max_size=6), cut=st.integers(0, 6))
@settings(max_examples=30, deadline=None)
def test_what_becomes_of_a_text_does_not_depend_on_its_neighbours(name, texts, cut):
    step = made(name)
    whole = run(step, texts)
    assert whole == run(step, texts[:cut]) + run(step, texts[cut:])
    if isinstance(step, Judge):
        assert set(whole) <= {None, *step.reasons}


@given(text=TEXTS | st.text(st.characters(max_codepoint=127)))
@settings(max_examples=100, deadline=None)
def test_what_unicode_takes_for_sound_is_what_ftfy_leaves_alone(text):
    config = TextFixerConfig(
        unescape_html=False,
        remove_terminal_escapes=False,
        fix_character_width=False,
        uncurl_quotes=False,
        fix_line_breaks=False,
        remove_control_chars=False,
        explain=False,
    )
    fixed = fix_text(text, config)
    (found,) = Unicode().rewrite([text])
    if fixed == text:
        assert found is text
    elif fix_text(fixed, config) == fixed:
        assert found == fixed
    assert not any("\ud800" <= character <= "\udfff" for character in found)
    assert normalize("NFC", found) == found


@given(text=TEXTS)
@settings(max_examples=40, deadline=None)
def test_control_characters_go_and_what_is_seen_stays(text):
    (found,) = ControlCharacters().rewrite([text])
    assert all(c in "\t\n" or category(c) not in ("Cc", "Cs", "Zl", "Zp") for c in found)
    unseen = {"\u200b", "\u200e", "\u200f", "\u00ad", "\ufeff", *map(chr, range(0x202A, 0x202F))}
    assert not unseen & set(found)
    without = re.sub("\x1b\\[[0-9;]*[a-zA-Z]", "", text)
    assert [c for c in found if c.isprintable()] == [c for c in without if c.isprintable()]


@given(text=TEXTS)
@settings(max_examples=40, deadline=None)
def test_whitespace_keeps_the_words_and_leaves_single_spaces(text):
    (found,) = Whitespace().rewrite([text])
    assert found.split() == text.split()
    assert all(line == " ".join(line.split()) for line in found.split("\n"))
    assert "\n\n\n" not in found
    assert found == found.strip()
    (line,) = Whitespace(lines=False).rewrite([text])
    assert line == " ".join(text.split())


@given(text=TEXTS, low=st.integers(0, 8), more=st.integers(0, 8) | st.none())
@settings(max_examples=40, deadline=None)
def test_length_drops_what_is_out_of_its_bounds_and_nothing_else(text, low, more):
    high = None if more is None else low + more
    for count, step in (
        (len(text), Length(min_characters=low, max_characters=high)),
        (len(text.split()), Length(0, None, low, high)),
    ):
        (reason,) = step.judge([text])
        assert (reason == "too_short") == (count < low)
        assert (reason == "too_long") == (high is not None and count > high)


@given(before=st.lists(PIECES, max_size=5), after=st.lists(PIECES, max_size=5))
@settings(max_examples=40, deadline=None)
def test_a_text_with_a_line_that_says_something_is_no_boilerplate(before, after):
    text = "".join([*before, "\nthe zebra ran home\n", *after])
    assert Boilerplate(phrases=()).judge([text]) == [None]


FEW_WORDS = ("it", "so", "goes", "a", "the", "rose", "is", "no", "more", "than")
WORDS = st.lists(st.sampled_from(FEW_WORDS), max_size=60)


def covered(words: list[str], size: int) -> set[int]:
    """By definition: positions in a run of words that an earlier position begins too."""
    runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
    return {i + k for i, run in enumerate(runs) if run in runs[:i] for k in range(size)}


@given(words=WORDS, size=st.integers(1, 10))
@settings(max_examples=40, deadline=None)
def test_repeated_characters_are_those_of_the_definition(words, size):
    expected = sum(len(words[i]) for i in covered(words, size))
    assert repeated_characters(words, size) == expected


def by_the_rules(words: list[str], step: Repetition) -> bool:
    """The paper's rules about words, by their definition."""
    total = sum(map(len, words))
    for size, most in ((2, step.top_2), (3, step.top_3), (4, step.top_4)):
        runs = [tuple(words[i : i + size]) for i in range(len(words) - size + 1)]
        top = max(runs, key=lambda run: (runs.count(run), sum(map(len, run))))
        places = {i + k for i, run in enumerate(runs) if run == top for k in range(size)}
        if runs.count(top) > 1 and sum(len(words[i]) for i in places) > most * total:
            return True
    return any(
        sum(len(words[i]) for i in covered(words, size)) > round(0.2 - size / 100, 9) * total
        for size in range(5, 11)
    )


@given(
    unlike=st.integers(0, 60),
    parts=st.lists(st.sampled_from(["so it goes", "rose", "a b c d e", "x y"]), max_size=25),
    order=st.randoms(use_true_random=False),
)
@settings(max_examples=40, deadline=None)
def test_repetition_follows_the_papers_rules(unlike, parts, order):
    pieces = [*parts, *(f"w{i}" for i in range(unlike))]
    order.shuffle(pieces)
    words = " ".join(pieces).split()
    if len(words) < 12:
        return
    step = Repetition(min_words=11)
    expected = "repetitive" if by_the_rules(words, step) else None
    assert step.judge([" ".join(words)]) == [expected]


@given(st.lists(st.text("abcdefghij", min_size=1, max_size=8), unique=True, max_size=120))
@settings(max_examples=40, deadline=None)
def test_a_text_whose_words_are_all_different_does_not_repeat_itself(words):
    text = " ".join(words)
    runs = [len(list(run)) for _, run in itertools.groupby(text)]
    if max(runs, default=0) <= len(text) / 2 or len(text) < SHORTEST_RUN:
        assert Repetition().judge([text]) == [None]


MANY = 400_000
WORST = [
    ("html", "<a '\""),
    ("html", "</"),
    ("html", "--><!--"),
    ("html", "<style><script>"),
    ("html", "&#38;"),
    ("mask", "http://."),
    ("mask", "www."),
    ("mask", "a@"),
    ("mask", "a."),
    ("mask", "+1 (1"),
    ("mask", "00 "),
    ("control_characters", "\x1b[1;"),
    ("control_characters", "é\u200d"),
    ("control_characters", "\U000e0067"),
    ("unicode", "Ã©"),
    ("unicode", "\u0301"),
    ("unicode", "ﬁ"),
    ("whitespace", " \n"),
    ("boilerplate", "we use cookies to. "),
    ("boilerplate", "by using you "),
    ("boilerplate", "a."),
    ("repetition", "a b c d e f g "),
    ("repetition", "a"),
    ("repetition", "a\n"),
    ("language", "é"),
    ("length", "a "),
]


@pytest.mark.timeout(20)
@pytest.mark.parametrize(("name", "worst"), WORST)
def test_long_texts_of_the_worst_kind_take_no_hours(name, worst):
    """As they would if each place were tried against each other one."""
    text = (worst * (MANY // len(worst) + 1))[:MANY]
    (found,) = run(made(name), [text])
    assert found is None or isinstance(found, str)


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    ("whole", "start", "left"),
    [("<!-- -->", "<!--", "<!--"), ("<script></script>", "<script>", "")],
)
def test_an_end_that_comes_too_early_is_not_looked_for_again_and_again(whole, start, left):
    times = MANY // len(start)
    assert made("html").rewrite([whole + start * times]) == [left * times]
