"""Small raw files of the shape that each recipe prepares."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np

from tests.toys import write_jsonl


def accounts(folder: Path) -> list[object]:
    """60 accounts of 30 authors; every other author is an influencer."""
    random = np.random.default_rng(1)
    rows = [
        {
            "id": f"p{at}",
            "author": f"m{at // 2}",
            "text": f"package {at} that reads files",
            "description": None if at % 2 else f"reads files of kind {at}",
            "size_bytes": int(random.integers(1000, 10**6)),
            "installed_kib": int(random.integers(10, 1000)),
            "n_depends": at % 7,
            "priority": ("optional", "extra")[at % 2],
            "architecture": ("all", "any")[at % 3 % 2],
            "has_homepage": at % 3 == 0,
            "author_packages": 2,
            "followers": at // 2 % 2 * 1000,
            "label": ("observer", "influencer")[at // 2 % 2],
        }
        for at in range(60)
    ]
    return [write_jsonl(folder / "accounts.jsonl", rows)]


def conversations(folder: Path) -> list[object]:
    """60 conversations of 2 or 3 messages; all that an author writes is in one of two lists."""
    rows = [
        {
            "conversation_id": f"c{at}",
            "list": ("fork", "exmh-users")[at % 2],
            "messages": [
                {"author": f"u{at % 20}", "text": f"message {step} of talk {at}"}
                for step in range(2 + at % 2)
            ],
        }
        for at in range(60)
    ]
    return [write_jsonl(folder / "conversations.jsonl", rows)]


def memes(folder: Path) -> list[object]:
    """24 memes in one shard, and the splits of each."""
    from PIL import Image

    random, splits = np.random.default_rng(2), {}
    shards = folder / "shards"
    shards.mkdir()
    with tarfile.open(shards / "memes-000000.tar", "w") as shard:
        for at in range(24):
            key, living = f"oc{at:03}", at % 2
            splits[key] = ("train", "train", "validation", "test")[at // 2 % 4]
            pixels = random.integers(0, 255, (24, 32, 3)).astype(np.uint8)
            picture = io.BytesIO()
            Image.fromarray(pixels).save(picture, "PNG")
            more = {"id": key, "lang": "en", "category": "tools", "labels": {"living": living}}
            for name, content in (
                ("png", picture.getvalue()),
                ("txt", f"caption {at}".encode()),
                ("json", json.dumps(more).encode()),
            ):
                member = tarfile.TarInfo(f"{key}.{name}")
                member.size = len(content)
                shard.addfile(member, io.BytesIO(content))
    (folder / "splits.json").write_text(json.dumps(splits))
    return [shards, "--splits-file", folder / "splits.json"]


def topics(folder: Path) -> list[object]:
    """60 glosses of three topics."""
    rows = [
        {"id": at, "definition": f"a thing with the number {at}", "subject": "abc"[at % 3]}
        for at in range(60)
    ]
    path = write_jsonl(folder / "rows.jsonl", rows)
    return [path, "--text", "definition", "--label", "subject", "--id-column", "id"]


RAW = {
    "influencer": accounts,
    "conversation": conversations,
    "author": conversations,
    "memes": memes,
    "topics": topics,
}
"""First word of a recipe's name → what writes its raw file, and gives the arguments of prepare."""
