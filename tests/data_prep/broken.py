"""A thousand broken files: valid ones of every kind, damaged by a seeded hand."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random

import pyarrow as pa
import pyarrow.parquet as pq

from tests.rows.support import jsonl, png, tar, zst

WORDS = [f"word{i}" for i in range(400)] + ["é", "日本語", "😀", "a,b", 'say "x"', "two\nlines"]
Damage = Callable[[bytes, Random], bytes]


def broken_files(folder: Path, count: int, seed: int = 3) -> Iterator[Path]:
    """Write files one by one, each with the damage that killed it in its name."""
    random = Random(seed)
    makers, damages = list(VALID.items()), list(DAMAGES.items())
    for number in range(count):
        suffix, make = makers[number % len(makers)]
        name, damage = damages[number // len(makers) % len(damages)]
        content = damage(make(random), random)
        if random.random() < 0.2:
            content = random.choice(damages)[1](content, random)
        suffix = random.choice(makers)[0] if random.random() < 0.05 else suffix
        outer = random.random()
        zipped = (
            "" if "parquet" in suffix else ".gz" if outer < 0.2 else ".zst" if outer < 0.4 else ""
        )
        if zipped:
            content = gzip.compress(content, 1) if zipped == ".gz" else zst(content)
            if random.random() < 0.5:
                content = damage(content, random)
        path = folder / f"{number:04}-{name}{suffix}{zipped}"
        path.write_bytes(content)
        yield path


def rows(random: Random) -> list[dict]:
    """Good rows of every type that JSON has."""
    return [
        {
            "text": " ".join(random.choices(WORDS, k=6)),
            "label": random.choice(["a", "b", 3, None]),
            "n": random.choice([i, i / 7, None, str(i)]),
            "deep": random.choice([None, {"a": [i, None], "b": {}}, [], [[1.5]], "x"]),
        }
        for i in range(random.randint(1, 40))
    ]


def as_jsonl(random: Random) -> bytes:
    return jsonl(rows(random))


def as_table(separator: str) -> Callable[[Random], bytes]:
    def make(random: Random) -> bytes:
        lines = ["text label n".replace(" ", separator)]
        for row in rows(random):
            text = row["text"].replace('"', '""')
            lines.append(
                separator.join([f'"{text}"', str(row["label"] or ""), str(row["n"] or "")])
            )
        return ("\r\n".join(lines) + "\r\n").encode()

    return make


def as_parquet(random: Random) -> bytes:
    sink = io.BytesIO()
    found = rows(random)
    table = pa.table(
        {
            "text": [row["text"] for row in found],
            "label": [str(row["label"]) for row in found],
            "deep": [{"a": [1, None], "b": row["text"][:3]} for row in found],
        }
    )
    how = random.choice(["none", "snappy", "zstd", "gzip"])
    pq.write_table(table, sink, compression=how, row_group_size=random.choice([3, 100]))
    return sink.getvalue()


def as_tar(random: Random) -> bytes:
    members = []
    for i, row in enumerate(rows(random)[:8]):
        members += [
            (f"{i:03}.txt", row["text"].encode()),
            (f"{i:03}.json", json.dumps(row).encode()),
        ]
        members += [(f"{i:03}.png", png()), (f"{i:03}.cls", b"%d" % i)]
    return tar(members)


def cut(content: bytes, random: Random) -> bytes:
    return content[: random.randrange(len(content) + 1)]


def cut_start(content: bytes, random: Random) -> bytes:
    return content[random.randrange(len(content) + 1) :]


def flip_bits(content: bytes, random: Random) -> bytes:
    changed = bytearray(content)
    for _ in range(random.choice([1, 1, 3, 20]) if changed else 0):
        changed[random.randrange(len(changed))] ^= 1 << random.randrange(8)
    return bytes(changed)


def noise(content: bytes, random: Random) -> bytes:
    start = random.randrange(len(content) + 1)
    return content[:start] + random.randbytes(random.choice([1, 50, 3000])) + content[start:]


def only_noise(content: bytes, random: Random) -> bytes:
    return random.randbytes(random.choice([1, 4, 100, 5000]))


def empty(content: bytes, random: Random) -> bytes:
    return random.choice([b"", b"\n", b" \r\n\n", b"\xef\xbb\xbf", b"\0", b"{}", b"[]", b"\x1a"])


def zeros(content: bytes, random: Random) -> bytes:
    start, size = random.randrange(len(content) + 1), random.choice([1, 30, 600])
    return content[:start] + bytes(size) + content[start + size :]


def encoded(content: bytes, random: Random) -> bytes:
    text = content.decode("utf-8", errors="replace")
    way = random.choice(
        ["utf-16", "utf-16-le", "utf-32", "latin-1", "cp1252", "utf-7", "shift-jis"]
    )
    return text.encode(way, errors="replace")


def byte_order_mark(content: bytes, random: Random) -> bytes:
    return random.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"]) + content


def line_ends(content: bytes, random: Random) -> bytes:
    return content.replace(b"\n", random.choice([b"\r\n", b"\r", b"\n\n", b"\n\r", b"\x0b", b""]))


def doubled(content: bytes, random: Random) -> bytes:
    return content + content[random.randrange(len(content) + 1) :]


def swapped(content: bytes, random: Random) -> bytes:
    pairs = [
        (b'"', b"'"),
        (b",", b";"),
        (b"text", b"label"),
        (b"{", b"["),
        (b":", b"="),
        (b'"', b""),
    ]
    old, new = random.choice(pairs)
    return content.replace(old, new, random.choice([1, -1]))


def strange_lines(content: bytes, random: Random) -> bytes:
    lines = content.split(b"\n")
    for _ in range(random.randint(1, 5)):
        lines.insert(random.randrange(len(lines) + 1), random.choice(STRANGE))
    return b"\n".join(lines)


STRANGE = [
    b'{"text": null, "label": {"a": [null, {"b": null}]}, "deep": [null]}',
    b'{"n": %s}' % (b"9" * 400),
    b'{"n": 1e400}',
    b'{"n": -1e308, "text": 0.1e-400}',
    b'{"n": NaN, "deep": Infinity}',
    b'{"text": "\\ud800", "label": "a"}',
    b'{"text": "a", "text": "b"}',
    b'{"": 1, " ": 2, "a.b": 3, "\\n": 4}',
    b'{"a":' * 120 + b"1" + b"}" * 120,
    b'{"a":' * 600 + b"1" + b"}" * 600,
    b'{"a": ' + b"[" * 60 + b"]" * 60 + b"}",
    b"[" * 5000,
    b'{"row_id": [1], "text": true, "label": 0.0}',
    b'{"n": 18446744073709551615, "m": 18446744073709551616}',
    b'{"n": true}\n{"n": 1}\n{"n": 0.5}\n{"n": [true, 0.5]}',
    b"text,label,n,text",
    b'"',
    b'a,"b"c,d',
    b",,,,,,,,",
    b"\xc3\x28,\xa0\xa1,\xf8",
    b"nul\0,nul\0,1",
    b"<html><body>404</body></html>",
    b"\x1b[31mred\x1b[0m",
    b"x" * 200_000 + b",1,2",
]

VALID: dict[str, Callable[[Random], bytes]] = {
    ".jsonl": as_jsonl,
    ".csv": as_table(","),
    ".tsv": as_table("\t"),
    ".parquet": as_parquet,
    ".tar": as_tar,
    ".ndjson": as_jsonl,
}
DAMAGES: dict[str, Damage] = {
    each.__name__: each
    for each in (
        cut,
        flip_bits,
        noise,
        strange_lines,
        encoded,
        zeros,
        swapped,
        cut_start,
        byte_order_mark,
        line_ends,
        doubled,
        only_noise,
        empty,
    )
}
