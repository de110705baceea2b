"""Cleaning steps: what each does to a text, and which texts it drops."""

from __future__ import annotations

import gzip
import json
import sys

import pytest
from ftfy.fixes import unescape_html

from data_prep.steps import Judge, Rewriter, build_steps, step_names
from hfpipe.demonstrating import demo_rows
from hfpipe.errors import UserError

BOM, ZERO_WIDTH, NO_BREAK = "\ufeff", "\u200b", "\u00a0"


def rewritten(spec: object, text: str) -> str:
    (step,) = build_steps([spec])
    assert isinstance(step, Rewriter)
    return step.rewrite([text])[0]


def judged(spec: object, *texts: str) -> list[str | None]:
    (step,) = build_steps([spec])
    assert isinstance(step, Judge)
    return step.judge(list(texts))


def glosses() -> list[str]:
    with gzip.open(demo_rows(), "rt", encoding="utf-8") as file:
        return [json.loads(line)["definition"] for line in file]


@pytest.mark.parametrize("name", step_names())
def test_with_its_default_options_no_step_touches_a_gloss_of_the_demo(name):
    texts = glosses()
    assert len(texts) == 4014
    (step,) = build_steps([name])
    if isinstance(step, Rewriter):
        now = step.rewrite(texts)
        assert [text for i, text in enumerate(texts) if now[i] is not text] == []
    else:
        assert step.judge(texts) == [None] * len(texts)


@pytest.mark.parametrize(
    ("spec", "text", "expected"),
    [
        ("unicode", "cafÃ© â€œau laitâ€\x9d", "café \u201cau lait\u201d"),
        ("unicode", "itâ€™s", "it\u2019s"),
        ("unicode", "e\u0301", "\u00e9"),
        ("unicode", "ﬁne", "fine"),
        ("unicode", "\ud83d\ude00 \ud83d", "😀 \ufffd"),
        ("unicode", "one\ntwo Ã©\r\nthree", "one\ntwo é\r\nthree"),
        ("unicode", "AT&amp;T, \uff41, \u2019", "AT&amp;T, \uff41, \u2019"),
        ("unicode:html_entities=true", "AT&amp;amp;T &lt;b&gt;", "AT&T <b>"),
        ("unicode:width=true", "\uff41", "a"),
        ("unicode:straight_quotes=true", "\u201cit\u2019s\u201d", '"it\'s"'),
        ("unicode:form=NFKC", "10\u00b3", "103"),
        ("unicode:form=NFD", "\u00e9", "e\u0301"),
        ("control_characters", f"{BOM}a\x00b{ZERO_WIDTH}c\x7f\x9f", "abc"),
        ("control_characters", "a\tb\nc\r\nd\re\fg\u2028h\x85i", "a\tb\nc\nd\ne\ng\nh\ni"),
        ("control_characters:line_ends=false", "a\r\nb\u2028c\x00", "a\r\nb\u2028c"),
        ("control_characters", "\x1b[1;31mred\x1b[0m", "red"),
        ("control_characters", "\u202ecod\u202c co\u00adoperate", "cod cooperate"),
        ("control_characters", "a\u200cb می\u200cشود 👩\u200d💻", "ab می\u200cشود 👩\u200d💻"),
        ("control_characters:joiners=false", "می\u200cشود", "میشود"),
        (
            "control_characters",
            "🏴\U000e0067\U000e0062\U000e007f a\U000e0067b",
            "🏴\U000e0067\U000e0062\U000e007f ab",
        ),
        ("control_characters", "a\ud800b\uffff", "ab"),
        ("whitespace", f"  a \t{NO_BREAK} b  \n \n\n\n c ", "a b\n\nc"),
        ("whitespace:lines=false", " a\n\nb ", "a b"),
        ("html", "<p>One <b>cat</b><br/>and a&nbsp;dog</p>", "One cat\nand a\u00a0dog"),
        ("html", "<ul><li>x</li><li class='a>b'>y</li></ul>", "x\n\ny"),
        ("html", "a<!-- <b>no</b> -->b<script>var x = '<p>';</script>c<style>p{}</style>", "abc"),
        ("html", "&lt;a href=&quot;x&quot;&gt;link&lt;/a&gt;", "link"),
        ("html", "if a < b and c > d, List<String>, 1 <2, <url>, <me@b.org>", None),
        ("html:entities=false", "<i>AT&amp;T</i>", "AT&amp;T"),
        ("html", "<!DOCTYPE html><HTML><BODY>Hi", "Hi"),
        ("html", "an end <b", None),
        ("mask", "see https://a.org/x?y=1#z, and www.b.com.", "see <url>, and <url>."),
        ("mask", "(ftp://a.b/c) me.too+x@mail.a-b.co.uk!", "(<url>) <email>!"),
        (
            "mask",
            "+49 (0)30 123 45 67, (555) 123-4567 or 1-888-406-4246",
            "<phone>, <phone> or <phone>",
        ),
        ("mask", "0221/1234567, (030) 1234567, 0044 20 7946 0958", "<phone>, <phone>, <phone>"),
        ("mask", "on 2021-03-04, 04.03.2021, 10 000 000, 192.168.100.200, 3.14159265", None),
        ("mask", "in 2002 C++ 20, a+1 = 12, room 0815, 12345678", None),
        (
            "mask:phones=false,emails=false",
            "a@b.org +49 30 1234567 http://x.y",
            "a@b.org +49 30 1234567 <url>",
        ),
        ("mask", "hello @user", None),
        ("mask:mentions=true", "hello @user, me@b.org", "hello <user>, <email>"),
    ],
)
def test_a_text_becomes(spec, text, expected):
    assert rewritten(spec, text) == (text if expected is None else expected)


def test_a_text_that_needs_no_change_is_the_very_same_object():
    for name in ("unicode", "control_characters", "whitespace", "html", "mask"):
        for text in ("a plain cat", "ünïcode is fine", "two\nlines", "a < b & c", "", "12 @ 3"):
            assert rewritten(name, text) is text, (name, text)


def test_entities_nested_deeper_than_a_mistake_could_are_left_alone():
    text = "&" + "amp;" * 30 + "lt;"
    assert rewritten("unicode:html_entities=true", text) is text
    assert rewritten("html", text) is text
    assert unescape_html(text) != text


def test_length_counts_characters_and_words():
    texts = ["", "a", "ab", "abcdef", "a b c d"]
    assert judged("length:min_characters=2,max_characters=6", *texts) == [
        "too_short",
        "too_short",
        None,
        None,
        "too_long",
    ]
    assert judged("length:min_words=1,max_words=3", *texts) == [
        "too_short",
        None,
        None,
        None,
        "too_long",
    ]


def test_language_keeps_what_it_cannot_tell():
    foreign = ["Der Hund läuft über die Straße.", "Le chat dort sur le canapé.", "你好", "Привет"]
    doubtful = [
        "ok",
        "hello",
        "koalas",
        "12345",
        "😀😀",
        "https://example.com/x?y=1",
        "",
        "un animal",
    ]
    english = ["a small cat with four legs", "He said: 'Guten Morgen' to the whole class"]
    assert judged("language", *foreign) == ["other_language"] * 4
    assert judged("language", *doubtful) == [None] * 8
    assert judged("language", *english) == [None] * 2
    assert judged("language:keep=en|de", *foreign) == [None] + ["other_language"] * 3


def test_language_looks_at_the_beginning_of_a_long_text():
    english, german = "The cat sat on the mat. ", "Der Hund läuft über die Straße. "
    assert judged("language", english * 100 + german * 9000, german * 100 + english * 9000) == [
        None,
        "other_language",
    ]


def test_language_without_its_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "py3langid", None)  # for Python: not installed
    with pytest.raises(UserError, match=r"^step 'language': .*pip install 'hfpipe\[language\]'$"):
        build_steps(["language"])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("We use cookies to improve your experience. By continuing you accept our policy.", True),
        ("JavaScript is disabled in your browser.\nPlease enable JavaScript to continue.", True),
        ("© 2024 Example Inc. All rights reserved.", True),
        ("Copyright 1999 by Me", True),
        ("404 - Page not found", True),
        ("Accept all | Cookie settings | Read more", True),
        ("Lorem ipsum dolor sit amet, consectetur", True),
        ("A cat. Lorem ipsum DOLOR sit amet. A dog.", True),
        ("Log out", False),
        ("Subscribe", False),
        ("Cookies are small files that a site stores. We use cookies.", False),
        ("We use cookies. The court found that this was against the law.", False),
        ("JavaScript is required for most front-end jobs these days", False),
        ("Copyright law protects works of authorship", False),
        ("All rights reserved, said the knight", False),
        ("Access denied: how a gang of four broke into the bank", False),
        ("", False),
        ("...", False),
    ],
)
def test_boilerplate_is_what_says_nothing_at_all(text, reason):
    assert judged("boilerplate", text) == ["boilerplate" if reason else None]


def test_boilerplate_takes_phrases_and_patterns_of_the_user():
    spec = {
        "boilerplate": {
            "phrases": ["Sent from my"],
            "patterns": [r"page \d+ of \d+"],
            "built_in": False,
        }
    }
    texts = [
        "Hi! sent FROM my phone",
        "Page 3 of 7",
        "Page 3 of 7 is missing",
        "All rights reserved",
    ]
    assert judged(spec, *texts) == ["boilerplate", "boilerplate", None, None]


def test_repetition_in_short_texts():
    texts = {
        "buy now " * 9: "repetitive",
        "ha " * 12: "repetitive",
        "oh noooooooooooooooooooo": "repetitive",
        "!!!!!!!!!!": "repetitive",
        "=" * 40 + " Title " + "=" * 30: "repetitive",
        "aaaaaaaaa": None,  # nine in a row are too few to tell
        "no no no": None,
        "a rose is a rose is a rose is a rose": None,
        "-- a heading --------------------": "repetitive",
    }
    assert dict(zip(texts, judged("repetition", *texts), strict=True)) == texts


def test_repetition_in_documents_is_by_the_papers_shares():
    words = [f"word{i}" for i in range(1000)]
    lines = [" ".join(words[i : i + 10]) for i in range(0, 1000, 10)]
    again = [*lines[:70], *lines[:30]]  # 30 of 100 lines: not above 0.30; but of characters 30 %
    none = {"line_characters": 1.0, "repeated_5": 1.0}
    assert judged({"repetition": none}, "\n".join(again)) == [None]
    assert judged({"repetition": none}, "\n".join([*again, lines[0]])) == ["repetitive"]
    assert judged({"repetition": {"repeated_5": 1.0}}, "\n".join(again)) == ["repetitive"]
    # Ten words of a hundred said again are 10 %: too many for ten words, not for nine or fewer.
    text = " ".join([f"w{i:04}" for i in range(100)] + [f"w{i:04}" for i in range(12)])
    assert judged("repetition", text) == ["repetitive"]
    assert judged("repetition", " ".join(text.split()[:110])) == [None]
    pair = " ".join(f"new york {word}" for word in words[:50])
    assert judged("repetition:top_2=0.5", pair) == ["repetitive"]
    assert judged("repetition:top_2=0.6", pair) == [None]
