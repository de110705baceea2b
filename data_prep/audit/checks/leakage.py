"""Columns that tell the label by themselves: few real inputs do, consequences of the label do."""

from __future__ import annotations

from typing import Any

import numpy as np
from markupsafe import Markup

from data_prep.audit.columns import ColumnScore, score_columns
from data_prep.audit.drawings import score_bars
from data_prep.audit.finding import finding, graded, skipped, table, worst
from data_prep.audit.given import NAME_CHARACTERS, AuditInput
from hfpipe.reports.words import count, listed, shortened

TITLE = "Columns that give the label away"
ORDER = 5
#: ROC AUC of one column alone, out of sample; for numbers to predict, its R² or rank correlation.
WARN, WARN_NUMBER, FAIL = 0.95, 0.9, 0.99
#: Columns listed, the strongest first.
LISTED = 30
DRAWN = 15
AUC = "ROC AUC"
#: With fewer rows a score says little.
FEW = 50


def check(given: AuditInput) -> dict[str, Any]:
    """Score what each column says about the label, out of sample."""
    refused = list(given.leakage_columns)
    warn = WARN_NUMBER if given.regression else WARN
    numbers: dict[str, Any] = {"refused": refused, "warn": warn, "fail": FAIL}
    sample = _answered(given)
    if len(sample) < FEW:
        return skipped(f"fewer than {FEW} rows have a label")
    columns = given.columns(sample)
    columns = columns.drop_columns(
        [name for name in columns.column_names if name in _not_looked_at(given)]
    )
    scores, unread = score_columns(given, sample, columns)
    measure = "R² or rank correlation" if given.regression else AUC
    numbers |= {
        "measure": measure,
        "rows": len(sample),
        "columns": [score.as_dict() for score in scores[:LISTED]],
        "not_looked_at": unread,
    }
    also = f"; {count(len(refused), 'column')} refused" if refused else ""
    if not scores:
        return finding("ok", f"there is no column to look at{also}", numbers=numbers)
    verdict = worst([graded(score.score, warn, FAIL) for score in scores])
    suspects = [score for score in scores if score.score >= warn]
    tables = [_table(scores, measure, len(sample))]
    if not suspects:
        said = f"{count(len(scores), 'column')}; the strongest is {scores[0].said(measure)}{also}"
        return finding("ok", said, numbers=numbers, tables=tables)
    return finding(
        verdict,
        f"{listed([score.said(measure) for score in suspects[:4]])}{also}",
        "Ask whether it is known before the label is. If not, name it under "
        "--leakage-columns: then it is never written.",
        numbers=numbers,
        tables=tables,
    )


def plots(numbers: dict[str, Any]) -> list[Markup]:
    """The strongest columns."""
    scores = {row["column"]: row["score"] for row in numbers["columns"][:DRAWN]}
    if not scores:
        return []
    span = (0.0, 1.0) if numbers["measure"] != AUC else (0.5, 1.0)
    title = f"{numbers['measure']} of one column alone"
    return [score_bars("columns", title, scores, span, (numbers["warn"], numbers["fail"]))]


def _answered(given: AuditInput) -> np.ndarray:
    sample = given.sample()
    if given.targets is not None:
        return sample[np.isfinite(given.targets[sample])]
    return sample[given.labels[sample] >= 0]


def _not_looked_at(given: AuditInput) -> set[str]:
    named = {given.label_column, given.group_column, *given.id_columns, *given.text_columns}
    return {name for name in named if name}


def _cut(name: str) -> str:
    return shortened(name, NAME_CHARACTERS)


def _table(scores: list[ColumnScore], measure: str, rows: int) -> dict[str, Any]:
    caption = f"How well one column alone predicts, out of sample, on {count(rows, 'row')}"
    columns = ["Column", measure, "Of", "Read as"]
    cells: list[list[Any]] = [[_cut(s.column), s.score, s.of, s.read_as] for s in scores[:LISTED]]
    if any(score.missing is not None for score in scores[:LISTED]):
        columns.append("Where it is missing alone")
        for row, score in zip(cells, scores, strict=False):
            row.append(score.missing)
    return table(caption, columns, cells)
