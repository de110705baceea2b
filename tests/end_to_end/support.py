"""What a stranger runs, and how to read back what others recorded."""

from __future__ import annotations

import html.parser
import struct
from collections.abc import Iterator
from pathlib import Path

STRANGER = """
import json, sys
from datasets import load_dataset
from transformers import pipeline
rows = load_dataset("{dataset}")
texts = list(rows["test"]["definition"])
found = pipeline("text-classification", model="{model}")(texts, top_k=None, batch_size=16)
print(json.dumps({{
    "splits": {{name: len(split) for name, split in rows.items()}},
    "row_ids": rows["test"]["row_id"][:],
    "found": [{{each["label"]: each["score"] for each in row}} for row in found],
    "modules": sorted({{name.partition(".")[0] for name in sys.modules}}),
}}))
"""


def wandb_records(path: Path) -> Iterator:
    """What a run logged: LevelDB's log format, in blocks of 32 KiB, around protobuf records."""
    from wandb.proto.wandb_internal_pb2 import Record

    block, header = 32768, struct.Struct("<IHB")
    data, position, content = path.read_bytes(), 7, b""
    while position + header.size <= len(data):
        if block - position % block < header.size:
            position += block - position % block
            continue
        _, length, kind = header.unpack_from(data, position)
        position += header.size + length
        if position > len(data):  # W&B's service is about to write the rest
            return
        content += data[position - length : position]
        if kind in (1, 4):  # whole, or the last part
            yield Record.FromString(content)
            content = b""


class Loaded(html.parser.HTMLParser):
    """Whatever a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        fetches = ("src", "srcset", "poster", "data", "action", *(["href"] * (tag != "a")))
        self.urls += [value or "" for name, value in attrs if name in fetches]


def scores_of(row: dict) -> dict[str, float]:
    return dict(zip(row["labels"], row["scores"], strict=True))


def tolerance() -> float:
    """A machine with bfloat16 instructions scores in bfloat16; a pipeline does not."""
    from hfpipe.training.precision import bf16_is_fast

    return 0.03 if bf16_is_fast() else 1e-5


def planted(rows: list[dict]) -> list[dict]:
    """The rows, and 19 that must not survive: copies, gaps and an unwanted label."""
    copies = [dict(row) for row in rows[:5]]
    gaps = [rows[0] | {"definition": "  "}, rows[1] | {"definition": None}]
    gaps.append(rows[2] | {"subject": ""})
    unwanted = [{"definition": f"nothing {n} of note {n}", "subject": "noise"} for n in range(11)]
    return [*rows, *copies, *gaps, *unwanted]
