"""The story of ``hfpipe prepare``: read, clean, balance, split, audit, write, publish."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from data_prep import cleaning
from data_prep.adding import add_to_record, mark_known, whole_manifest
from data_prep.auditing import audit_rows
from data_prep.corpus import Corpus, mapped_labels
from data_prep.deriving import derive_columns
from data_prep.dividing import Division, divide
from data_prep.earlier import Earlier, load_earlier
from data_prep.engines import engine_for
from data_prep.ledger import Ledger
from data_prep.options import PrepareOptions, check_options
from data_prep.planning import row_plan, step_reasons
from data_prep.progress import Steps
from data_prep.publishing import publish_repo, write_repo
from data_prep.reading import Engine, read_corpus
from data_prep.record import prepare_record
from data_prep.regrouping import Regrouped, regroup
from data_prep.rowwise import RowPlan
from data_prep.table import print_account
from data_prep.writing import settle, split_rows_in_order, staging, write_json, write_jsonl
from hfpipe.errors import UserError
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.publish import Published, check_writable
from hfpipe.rows.paths import find_inputs, writable_parent
from hfpipe.rows.sources import Source


@dataclass
class Prepared:
    """What ``prepare`` made.

    Attributes:
        record: The content of ``prepare.json``.
        files: Files written to ``--out``.
        published: The commit; None if nothing was pushed.
        seconds: How long each step took.
    """

    record: dict[str, Any]
    files: list[Path] = field(default_factory=list)
    published: Published | None = None
    seconds: dict[str, float] = field(default_factory=dict)


def prepare(
    inputs: Sequence[str | Path],
    options: PrepareOptions,
    endpoint: Endpoint | None,
    console: Console,
) -> Prepared:
    """Turn raw rows into train, validation and test splits.

    Args:
        inputs: Files, folders, globs or URLs of JSONL, CSV, TSV, Parquet or WebDataset shards.
        options: What to do with the rows, and where to put them.
        endpoint: The Hub to push to, and to fetch from; needed where ``options.target`` is set
            and it is no dry run, for ``hf://`` inputs and for models to encode with.
        console: Where the account and the progress go.

    Returns:
        What was made.

    Raises:
        UserError: An option, a file or the target is wrong. Nothing was written or pushed.
        RunError: Writing or pushing failed. Nothing was written or pushed.
    """
    check_options(options)
    sources = find_inputs(list(inputs), endpoint)
    repo_id = _checked_target(options, endpoint)
    earlier = _earlier(options, endpoint, repo_id)
    steps = Steps(console, lively=not options.quiet and console.is_terminal)
    # Rows lie in the system's folder for temporary files (TMPDIR): until all is decided, nothing
    # is touched where the results go.
    with staging(None) as scratch, engine_for(options.engine, scratch) as engine:
        work = _Work(options, sources, earlier, engine, endpoint, scratch, steps)
        prepared = _prepared(work, console)
        if not options.dry_run:
            with staging(options.out) as stage:
                _write(work, prepared, repo_id, stage)
    prepared.seconds = steps.seconds
    return prepared


@dataclass
class _Work:
    """What all steps of one run look at."""

    options: PrepareOptions
    sources: list[Source]
    earlier: Earlier | None
    engine: Engine
    endpoint: Endpoint | None
    scratch: Path
    steps: Steps
    corpus: Corpus = field(init=False)
    ledger: Ledger = field(init=False)
    division: Division = field(init=False)


def _prepared(work: _Work, console: Console) -> Prepared:
    """All steps up to the audit: nothing is written but to the scratch folder."""
    conflicts = _read_and_clean(work)
    if work.options.encode or work.options.vectors:
        # What cannot be split is said before hours of work.
        divide(work.corpus, deepcopy(work.ledger), work.options, work.engine)
    with work.steps.timed("derive", len(work.ledger.kept())) as advance:
        made = derive_columns(
            work.corpus,
            work.ledger,
            work.options,
            work.endpoint,
            work.scratch / "derived",
            work.earlier.record.get("vectors") if work.earlier else None,
            advance,
        )
    with work.steps.timed("split"):
        cleaning.check_classes(work.corpus, work.ledger)
        work.division = divide(work.corpus, work.ledger, work.options, work.engine)
    work.ledger.check(kept=len(work.division.kept))
    record = prepare_record(work.corpus, work.options, work.ledger, work.division)
    record |= {"conflicts": conflicts, **made}
    if work.earlier is not None:
        record = add_to_record(record, work.earlier, work.ledger)
    if work.options.audit:
        with work.steps.timed("audit", len(work.division.kept)) as advance:
            record["audit"] = audit_rows(work.corpus, work.division, work.options, advance)
    if not work.options.quiet:
        print_account(console, record, work.corpus.bad, work.ledger.words)
        if work.options.audit:
            from data_prep.audit import print_audit

            print_audit(console, record["audit"])
    return Prepared(record)


def _read_and_clean(work: _Work) -> dict[str, Any]:
    """Read, clean and balance; gives what was found of conflicting labels."""
    options, steps = work.options, work.steps
    plan = row_plan(options, work.endpoint)
    if work.earlier is not None:
        refused = work.earlier.record["options"]["leakage_columns"]
        plan = replace(plan, without=[*plan.without, *refused])
    regrouped = _regrouped(work, plan)
    size = sum(source.size or 0 for source in work.sources)
    with steps.timed("read", size, in_bytes=True) as advance:
        work.corpus, plan = read_corpus(
            work.sources, options, plan, work.engine, work.earlier, advance
        )
    corpus = work.corpus
    if regrouped is not None:
        corpus.units, corpus.inputs, corpus.bad = regrouped.units, regrouped.inputs, regrouped.bad
    renamed = bool(options.gather_by)  # to see on which label a group agrees
    if options.map_labels and corpus.targets is None and not renamed:
        fixed = corpus.pinned >= 0 if corpus.pinned is not None else None
        corpus.labels, corpus.label_names = mapped_labels(
            corpus.labels, corpus.label_names, options.map_labels, fixed
        )
    if work.earlier is not None:
        mark_known(corpus, work.earlier)
        options = work.earlier.settled(options, plan.text)
    work.ledger = ledger = cleaning.open_ledger(corpus, step_reasons(plan))
    with steps.timed("filter"):
        cleaning.drop_stale(corpus, ledger, options)
        cleaning.settle_ids(corpus, ledger)
        unwanted = cleaning.drop_labels(corpus, ledger, options)
        work.options = options = replace(options, text=list(plan.text), drop_labels=unwanted)
        conflicts = cleaning.drop_conflicts(corpus, ledger, options)
    if options.clean:
        with steps.timed("duplicates", len(ledger.kept())) as advance:
            cleaning.drop_duplicates(corpus, ledger, options, work.engine, advance)
    with steps.timed("balance"):
        cleaning.balance(corpus, ledger, options)
    return conflicts


def _regrouped(work: _Work, plan: RowPlan) -> Regrouped | None:
    """Rows of another unit than the input's, where that was asked for, take the inputs' place."""
    if not (work.options.explode or work.options.gather_by):
        return None
    size = sum(source.size or 0 for source in work.sources)
    with work.steps.timed("regroup", size, in_bytes=True) as advance:
        found = regroup(work.sources, work.options, plan, work.scratch, advance)
    work.sources = [found.source]
    return found


def _checked_target(options: PrepareOptions, endpoint: Endpoint | None) -> str | None:
    """Find out now, not after the work, whether the result can be put where it shall go."""
    if options.dry_run and not options.incremental:
        return options.target
    if options.out is not None:
        writable_parent(options.out)
    if options.target is None:
        return None
    if endpoint is None:
        raise UserError(f"--target {options.target}: no Hub to push to: give --hub")
    return check_writable(endpoint, endpoint.repo_id(options.target), "dataset")


def _earlier(
    options: PrepareOptions, endpoint: Endpoint | None, repo_id: str | None
) -> Earlier | None:
    if not options.incremental or endpoint is None or repo_id is None:
        return None
    return load_earlier(endpoint, repo_id, options)


def _write(work: _Work, prepared: Prepared, repo_id: str | None, stage: Path) -> None:
    """Write everything beside its place, push, and only then put the files in their place."""
    options, record = work.options, prepared.record
    local, repo = stage / "out", stage / "repo"
    local.mkdir()
    repo.mkdir()
    passes = (options.out is not None) + (repo_id is not None)
    with work.steps.timed("write", passes * len(work.division.kept)) as advance:
        splits = split_rows_in_order(work.corpus, work.division, advance)
        if options.out is not None:
            _write_local(local, options, splits, record)
        if repo_id is not None:
            rows = whole_manifest(work.corpus, work.ledger, work.division, work.earlier)
            size = sum(source.size or 0 for source in work.sources)
            row_bytes = size / max(1, work.corpus.spool.rows)
            write_repo(repo, repo_id, splits, rows, record, options.format, row_bytes)
    if repo_id is not None and work.endpoint is not None:
        with work.steps.timed("push"):
            prepared.published = _publish(work, repo_id, repo, record)
    if options.out is not None:
        prepared.files = settle(local, options.out, _local_name(options, "audit.html"))


def _publish(work: _Work, repo_id: str, repo: Path, record: dict[str, Any]) -> Published:
    assert work.endpoint is not None
    if work.earlier is not None and not record["added"]["rows"]:
        url = f"{work.endpoint.url}/datasets/{repo_id}"
        return Published(repo_id, "dataset", work.earlier.revision, url, changed=False)
    return publish_repo(work.endpoint, repo_id, repo, record, work.options)


def _write_local(
    folder: Path, options: PrepareOptions, splits: dict[str, Any], record: dict[str, Any]
) -> None:
    for split, portions in splits.items():
        write_jsonl(portions(), folder / _local_name(options, f"{split}.jsonl"))
    write_json(record, folder / _local_name(options, "prepare.json"))
    if record.get("audit"):
        from data_prep.audit import audit_page

        page = audit_page(record["audit"], record)
        (folder / _local_name(options, "audit.html")).write_text(page, encoding="utf-8")


def _local_name(options: PrepareOptions, name: str) -> str:
    return f"{options.base}_{name}" if options.base else name
