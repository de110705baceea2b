"""Compare: results of several models on one test set, side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hfpipe.errors import UserError, nearest
from hfpipe.files import write_text
from hfpipe.hub.endpoint import Endpoint
from hfpipe.hub.provenance import provenance, sha256
from hfpipe.metrics.directions import DIRECTIONS
from hfpipe.rows.paths import writable_parent
from hfpipe.trials import EvaluateOptions

if TYPE_CHECKING:
    from hfpipe.evaluation.stored import Stored
    from hfpipe.evaluation.subjects import Subject

LONGEST = 80
"""Characters that a name gives to the folder's."""
Score = Callable[[str, Endpoint, EvaluateOptions], object]


@dataclass(frozen=True)
class CompareOptions:
    """How to compare.

    Attributes:
        metric: What to rank by; by default what decides for the task.
        split: Whose results of a repo count; by default the split of the folders, else ``test``.
        resamples: Of the paired bootstrap.
        out: Where the files go; by default ``runs/compare/<names>``.
        quiet: No progress bars.
    """

    metric: str | None = None
    split: str | None = None
    resamples: int = 1000
    out: Path | None = None
    quiet: bool = False


@dataclass(frozen=True)
class Compared:
    """What a comparison left.

    Attributes:
        board: As in ``compare.json``.
        folder: Where the files are.
        csv: The leaderboard as a table.
        json: All that is known.
        html: The page.
    """

    board: dict[str, Any]
    folder: Path
    csv: Path
    json: Path
    html: Path


def compare(
    names: Sequence[str],
    endpoint: Endpoint | None,
    options: CompareOptions,
    score: Score,
    tell: Callable[[str], object] = lambda line: None,
) -> Compared:
    """Rank results by a metric, say how sure the differences are, and what differs in the recipes.

    Args:
        names: Folders with a ``metrics.json``, and model repos; at least two.
        endpoint: The Hub that holds the repos; None where there are only folders.
        options: The metric, and where the files go.
        score: :func:`hfpipe.evaluating.evaluate`, for a repo without results.
        tell: Called with a line before anything that takes long.

    Returns:
        The leaderboard and the files written.

    Raises:
        UserError: No such folder, repo or metric, or results of another test set.
    """
    from hfpipe.evaluation.differing import differing
    from hfpipe.evaluation.matching import check_same
    from hfpipe.evaluation.standings import chosen_metric, standings
    from hfpipe.evaluation.subjects import find_subject, take_pushed, with_recipe
    from hfpipe.reports.comparison import as_csv, write_comparison

    _check(names, options)
    subjects = [find_subject(str(name), endpoint) for name in names]
    _check_different(subjects)
    out = options.out or Path("runs") / "compare" / _title(subjects)
    writable_parent(out)
    split = _split(subjects, options)
    for each in subjects:
        if each.repo_id and endpoint:
            take_pushed(each, endpoint, split)
    known = [each.result for each in subjects if each.result]
    if known:
        check_same(known)
        chosen_metric(known, options.metric)  # before anything is evaluated
    notes = []
    for each in subjects:
        if not each.result and endpoint:
            place = next((other.result for other in subjects if other.result), None)
            folder = out / each.name.replace("/", "--")
            notes.append(f"{each.name}: {each.why}: evaluated now into {folder}")
            tell(f"{each.name}: {each.why}: evaluating it now into {folder}")
            _evaluate(each, endpoint, options, split, place, folder, score)
    results = [with_recipe(each, endpoint) for each in subjects]
    board = standings(results, options.metric, options.resamples)
    board["recipes"] = differing({each.name: each.config for each in results if each.config})
    board["notes"] = [*notes, *_left_out(board), *_doubts(subjects, results, board)]
    return Compared(
        board,
        out,
        write_text(out / "compare.csv", as_csv(board)),
        write_text(out / "compare.json", _as_json(board)),
        write_comparison(out / "compare.html", board, provenance()),
    )


def _check(names: Sequence[str], options: CompareOptions) -> None:
    from hfpipe.evaluation.uncertainty import check_resamples

    if len(names) < 2:
        raise UserError(
            f"{len(names)} given, and it takes two to compare: hfpipe compare RUN_OR_REPO "
            "RUN_OR_REPO …"
        )
    if options.metric is not None and options.metric not in DIRECTIONS:
        near = nearest(options.metric, DIRECTIONS)
        raise UserError(f"--metric {options.metric}: there is no such metric{near}")
    check_resamples(options.resamples, "--resamples")
    if options.split is not None and "/" in options.split:
        raise UserError(f"--split {options.split}: not a split's name")


def _check_different(subjects: Sequence[Subject]) -> None:
    for attribute in ("key", "name"):
        seen: dict[str, str] = {}
        for each in subjects:
            key = getattr(each, attribute)
            if key in seen:
                raise UserError(f"{seen[key]} and {each.name} are one and the same: name each once")
            seen[key] = each.name


def _split(subjects: Sequence[Subject], options: CompareOptions) -> str | None:
    """The split that counts; None for a local file.

    Raises:
        UserError: A folder's result is of another than ``--split``.
    """
    folders = [each.result for each in subjects if each.result]
    if options.split is None:
        return folders[0].record.split if folders else "test"
    for each in folders:
        if each.record.split != options.split:
            record = each.record
            of = f"split '{record.split}'" if record.split else f"the file {record.dataset}"
            raise UserError(
                f"--split {options.split}: {each.name} holds a result of {of}; score it with: "
                f"hfpipe evaluate {record.model} --split {options.split}"
            )
    return options.split


def _evaluate(
    subject: Subject,
    endpoint: Endpoint,
    options: CompareOptions,
    split: str | None,
    place: Stored | None,
    folder: Path,
    score: Score,
) -> None:
    """Score a repo on the rows that the others were scored on."""
    from hfpipe.evaluation.stored import read_result

    dataset, file = None, None
    if place is not None and split is not None:
        at = f"@{place.record.dataset_revision}" if place.record.dataset_revision else ""
        dataset = f"{place.record.dataset}{at}"
    elif place is not None:
        file = Path(str(place.record.dataset))
        if not file.is_file() or f"sha256:{sha256(file)}" != place.record.dataset_revision:
            raise UserError(
                f"{place.name} was scored on {file}, which is not here as it was: give a folder of "
                f"'hfpipe evaluate {subject.repo_id} --file {file}' instead of {subject.name}"
            )
    score(
        f"{subject.repo_id}@{subject.revision}",
        endpoint,
        EvaluateOptions(
            dataset=dataset,
            split=split or "test",
            file=file,
            out=folder,
            baselines=False,
            quiet=options.quiet,
        ),
    )
    subject.result = read_result(folder, subject.name)


def _as_json(board: Mapping[str, Any]) -> str:
    from hfpipe.evaluation.record import plain

    shown = plain(board)
    return json.dumps(shown, indent=2, ensure_ascii=False, allow_nan=False, default=str) + "\n"


def _left_out(board: Mapping[str, Any]) -> list[str]:
    from hfpipe.reports.words import count

    rows = board["rows"]
    return [
        f"{name}: {count(missed, 'labelled row')} not in all results; differences are of the "
        f"{rows['common']:,} that are"
        for name, missed in rows["left_out"].items()
        if missed
    ]


def _doubts(
    subjects: Sequence[Subject], results: Sequence[Stored], board: Mapping[str, Any]
) -> list[str]:
    """What a reader should know of the models before the numbers."""
    notes = []
    for each in subjects:
        learned = each.story.get("dataset") or {}
        at = (learned.get("repo_id"), learned.get("revision"))
        if learned and board["split"] and at != (board["dataset"], board["dataset_revision"]):
            notes.append(
                f"{each.name} was trained on {at[0]}@{str(at[1])[:12]}, not on the dataset of this "
                "comparison at its commit: it may have learned from rows that are scored here"
            )
    notes += [
        f"{each.name}: its recipe is not known: no config.yaml there, and none on a Hub given with "
        "--hub"
        for each in results
        if not each.config
    ]
    return notes


def _title(subjects: Sequence[Subject]) -> str:
    """Folder name: the first, and the second or how many more."""
    names = [
        (each.repo_id or Path(each.key).name).replace("/", "--").lstrip(".")[:LONGEST] or "here"
        for each in subjects
    ]
    return f"{names[0]}-vs-{names[1] if len(names) == 2 else f'{len(names) - 1}-others'}"
