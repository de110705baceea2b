"""The story of ``hfpipe prepare``: read, clean, balance, split, write, publish."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from data_prep.balancing import rare_rows, resolve_labels, rows_over_cap
from data_prep.duplicates import exact_duplicates, near_duplicates
from data_prep.ledger import Ledger
from data_prep.options import PrepareOptions, check_options
from data_prep.publishing import publish_repo, write_repo
from data_prep.reading import Corpus, read_corpus
from data_prep.record import prepare_record
from data_prep.splitting import SplitRequest, split_rows
from data_prep.table import print_account
from data_prep.writing import manifest, settle, split_tables, staging, write_json, write_jsonl
from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import Published, check_writable
from hfpipe.rows.paths import find_inputs, writable_parent


@dataclass
class Prepared:
    """What ``prepare`` made.

    Attributes:
        record: The content of ``prepare.json``.
        files: Files written to ``--out``.
        published: The commit; None if nothing was pushed.
    """

    record: dict[str, Any]
    files: list[Path] = field(default_factory=list)
    published: Published | None = None


def prepare(
    inputs: Sequence[str | Path],
    options: PrepareOptions,
    endpoint: Endpoint | None,
    console: Console,
) -> Prepared:
    """Turn raw rows into train, validation and test splits.

    Args:
        inputs: JSONL, CSV, TSV or Parquet files.
        options: What to do with the rows, and where to put them.
        endpoint: The Hub to push to; needed where ``options.target`` is set and it is no dry run.
        console: Where the account and the progress go.

    Returns:
        What was made.

    Raises:
        UserError: An option, a file or the target is wrong. Nothing was written or pushed.
        RunError: Writing or pushing failed. Nothing was written or pushed.
    """
    check_options(options)
    find_inputs(inputs)
    repo_id = _checked_target(options, endpoint)
    corpus = _read(inputs, options, console)
    ledger = Ledger(corpus.row_ids, corpus.bad_ids)
    _drop_empty(corpus, ledger)
    unwanted = resolve_labels(options.drop_labels, _labels(corpus, ledger.kept()))
    options = replace(options, text=corpus.text_names, drop_labels=unwanted)
    _drop_labels(corpus, ledger, options)
    if options.clean:
        _drop_duplicates(corpus, ledger, options, console)
    _balance(corpus, ledger, options)
    splits = _split(corpus, ledger, options)
    ledger.check(kept=len(splits))
    record = prepare_record(corpus, options, ledger, splits)
    if not options.quiet:
        print_account(console, record, corpus.bad)
    if options.dry_run:
        return Prepared(record)
    return _write(corpus, ledger, splits, record, options, endpoint, repo_id)


def _checked_target(options: PrepareOptions, endpoint: Endpoint | None) -> str | None:
    """Find out now, not after the work, whether the result can be put where it shall go."""
    if options.dry_run:
        return options.target
    if options.out is not None:
        writable_parent(options.out)
    if options.target is None:
        return None
    if endpoint is None:
        raise UserError(f"--target {options.target}: no Hub to push to: give --hub")
    return check_writable(endpoint, endpoint.repo_id(options.target), "dataset")


def _read(inputs: Sequence[str | Path], options: PrepareOptions, console: Console) -> Corpus:
    with console.status("reading") if _lively(options, console) else _silence():
        return read_corpus(inputs, options)


def _drop_empty(corpus: Corpus, ledger: Ledger) -> None:
    no_text = np.array([not text.strip() for text in corpus.texts], dtype=bool)
    no_label = np.array([not (label or "").strip() for label in corpus.labels], dtype=bool)
    ledger.drop(np.flatnonzero(no_text), "empty_text")
    ledger.drop(np.flatnonzero(no_label & ~no_text), "empty_label")
    if not len(ledger.kept()):
        raise UserError(
            f"no row has both a text in {_quoted(corpus.text_names)} and a label: "
            f"{int(no_text.sum())} of {len(no_text)} rows have no text, "
            f"{int(no_label.sum())} have no label; check --text and --label"
        )


def _drop_labels(corpus: Corpus, ledger: Ledger, options: PrepareOptions) -> None:
    kept = ledger.kept()
    unwanted = set(options.drop_labels)
    marks = np.array([label in unwanted for label in _labels(corpus, kept)], dtype=bool)
    ledger.drop(kept[marks], "dropped_label")
    _check_classes(corpus, ledger, options)


def _drop_duplicates(
    corpus: Corpus, ledger: Ledger, options: PrepareOptions, console: Console
) -> None:
    kept = ledger.kept()
    ledger.drop(kept[exact_duplicates([corpus.texts[i] for i in kept])], "exact_duplicate")
    kept = ledger.kept()
    texts = [corpus.texts[i] for i in kept]
    with _progress(options, console, "near-duplicates", len(texts)) as advance:
        marks = near_duplicates(texts, options.threshold, options.policy, advance)
    ledger.drop(kept[marks], "near_duplicate")


def _balance(corpus: Corpus, ledger: Ledger, options: PrepareOptions) -> None:
    kept = ledger.kept()
    ledger.drop(kept[rare_rows(_labels(corpus, kept), options.min_count)], "rare_label")
    _check_classes(corpus, ledger, options)
    if options.reduce_majority_to is not None:
        kept = ledger.kept()
        row_ids = [corpus.row_ids[i] for i in kept]
        over = rows_over_cap(
            _labels(corpus, kept), row_ids, options.reduce_majority_to, options.seed
        )
        ledger.drop(kept[over], "majority_cap")


def _check_classes(corpus: Corpus, ledger: Ledger, options: PrepareOptions) -> None:
    classes = sorted(set(_labels(corpus, ledger.kept())))
    if len(classes) > 1:
        return
    reasons = ", ".join(f"{count} {reason}" for reason, count in ledger.dropped().items())
    after = f" (dropped: {reasons})" if reasons else ""
    if not classes:
        raise UserError(
            f"no rows are left of {ledger.rows_in}{after}: check --drop-labels and --min-count"
        )
    raise UserError(
        f"column '{options.label}' has one class only, '{classes[0]}'{after}: a classifier needs "
        "two or more; check --label, --drop-labels and --min-count"
    )


def _split(corpus: Corpus, ledger: Ledger, options: PrepareOptions) -> np.ndarray:
    kept = ledger.kept()
    request = SplitRequest(
        row_ids=[corpus.row_ids[i] for i in kept],
        labels=_labels(corpus, kept),
        sizes=options.sizes,
        seed=options.seed,
        given=None if corpus.given is None else [corpus.given[i] for i in kept],
    )
    return split_rows(options.split, request)


def _write(
    corpus: Corpus,
    ledger: Ledger,
    splits: np.ndarray,
    record: dict[str, Any],
    options: PrepareOptions,
    endpoint: Endpoint | None,
    repo_id: str | None,
) -> Prepared:
    """Write everything beside its place, push, and only then put the files in their place."""
    tables = split_tables(corpus.table, ledger, splits)
    prepared = Prepared(record)
    with staging(options.out) as stage:
        local, repo = stage / "out", stage / "repo"
        local.mkdir()
        repo.mkdir()
        prefix = f"{options.base}_" if options.base else ""
        if options.out is not None:
            for split, table in tables.items():
                write_jsonl(table, local / f"{prefix}{split}.jsonl")
            write_json(record, local / f"{prefix}prepare.json")
        if repo_id is not None and endpoint is not None:
            rows = manifest(ledger, splits)
            write_repo(repo, repo_id, tables, rows, record, options.format)
            prepared.published = publish_repo(endpoint, repo_id, repo, record, options)
        if options.out is not None:
            prepared.files = settle(local, options.out)
    return prepared


def _labels(corpus: Corpus, positions: np.ndarray) -> list[str]:
    return [corpus.labels[i] or "" for i in positions]


def _quoted(names: Sequence[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)


def _lively(options: PrepareOptions, console: Console) -> bool:
    return not options.quiet and console.is_terminal


@contextmanager
def _silence() -> Iterator[None]:
    yield


@contextmanager
def _progress(
    options: PrepareOptions, console: Console, what: str, total: int
) -> Iterator[Callable[[int], None]]:
    """A progress bar on a terminal; nothing elsewhere."""
    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not _lively(options, console)) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.advance(task, done)
