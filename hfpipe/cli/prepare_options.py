"""The options of ``hfpipe prepare``, by what they are about. What is not given stays None."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

# What comes in

Inputs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="INPUT...",
        help="Files (.jsonl, .csv, .tsv, each also .gz or .zst; .parquet; WebDataset .tar), "
        "folders, globs, hf://datasets/NS/NAME, s3://… URLs.",
        show_default=False,
    ),
]
Recipe = Annotated[
    str | None,
    typer.Option("--recipe", metavar="NAME|PATH", help="Take its 'prepare:' block; flags win."),
]
InputDir = Annotated[
    Path | None,
    typer.Option("--input-dir", metavar="DIR", help="Folder of the inputs; alone: all in it."),
]
InputFilename = Annotated[
    list[str] | None,
    typer.Option("--input-filename", metavar="FILE", help="An input, in --input-dir."),
]
Text = Annotated[
    list[str] | None,
    typer.Option("--text", metavar="COL[,COL]", help="Column(s) with the text, joined."),
]
Label = Annotated[
    str | None,
    typer.Option(
        "--label",
        "--subject",
        "--subject-column",
        metavar="COL",
        help="Column with the label; a nested one as labels.topic.",
    ),
]
Task = Annotated[
    str | None,
    typer.Option(
        "--task", metavar="classification|regression", help="What the label is. Default: a class."
    ),
]
MapLabels = Annotated[
    list[str] | None,
    typer.Option(
        "--map-labels",
        metavar="OLD=NEW[,…]",
        help="Rename labels; *=NEW means all that are not named.",
    ),
]
IdColumn = Annotated[
    str | None,
    typer.Option(
        "--id-column", metavar="COL", help="Column with row ids. Default: made of the content."
    ),
]
Explode = Annotated[
    str | None,
    typer.Option(
        "--explode",
        metavar="COL",
        help="A list of objects: one row an item, its fields become columns.",
    ),
]
GatherBy = Annotated[
    list[str] | None,
    typer.Option(
        "--gather-by",
        metavar="COL[,COL]",
        help="Rows that agree in these columns become one, with lists where they differ.",
    ),
]
MaxBadRows = Annotated[
    float | None,
    typer.Option("--max-bad-rows", help="Share of malformed rows to drop. Default: 0.001."),
]
Join = Annotated[
    str | None,
    typer.Option("--join", metavar="FILE", help="Add the columns of this table to the rows."),
]
JoinOn = Annotated[
    str | None, typer.Option("--join-on", metavar="COL", help="The column that both have.")
]
Where = Annotated[
    list[str] | None,
    typer.Option("--where", metavar="COL=VALUE", help="Keep these rows only; also COL!=VALUE."),
]
LatestBy = Annotated[
    str | None,
    typer.Option("--latest-by", metavar="COL", help="Of rows with one key, keep the latest."),
]
LatestKey = Annotated[
    list[str] | None,
    typer.Option("--latest-key", metavar="COL[,COL]", help="The key, for --latest-by."),
]
DropColumns = Annotated[
    list[str] | None,
    typer.Option("--drop-columns", metavar="A,B", help="Columns to leave out."),
]
LeakageColumns = Annotated[
    list[str] | None,
    typer.Option(
        "--leakage-columns",
        metavar="A,B",
        help="Columns that give the label away: left out, recorded, refused as inputs.",
    ),
]

# Cleaning and balance

Clean = Annotated[
    bool | None,
    typer.Option("--clean/--no-clean", help="Clean texts, drop duplicates. Default: yes."),
]
Step = Annotated[
    list[str] | None,
    typer.Option(
        "--step",
        metavar="NAME[:OPTION=VALUE,…]",
        help="A cleaning step, in this order; once for each. Default: unicode, "
        "control_characters. 'hfpipe prepare --list-steps' lists them.",
    ),
]
ListSteps = Annotated[
    bool, typer.Option("--list-steps", help="List the cleaning steps with their options; leave.")
]
Conflicts = Annotated[
    str | None,
    typer.Option(
        "--conflicts",
        metavar="report|drop|majority",
        help="One text with several labels. Default: report.",
    ),
]
Threshold = Annotated[
    float | None,
    typer.Option("--threshold", help="Near-duplicate above this similarity. Default: 0.9."),
]
Policy = Annotated[
    str | None,
    typer.Option(
        "--policy",
        metavar="kept|any",
        help="Compare with earlier rows that were kept (default), or with any.",
    ),
]
DropLabels = Annotated[
    list[str] | None,
    typer.Option("--drop-labels", "--labels-to-filter", metavar="A,B", help="Labels to leave out."),
]
MinCount = Annotated[
    int | None, typer.Option("--min-count", help="Leave out classes with fewer rows.")
]
ReduceMajorityTo = Annotated[
    float | None,
    typer.Option(
        "--reduce-majority-to", metavar="R", help="At most R x the rarest class's rows a class."
    ),
]
Cap = Annotated[int | None, typer.Option("--cap", metavar="N", help="At most N rows a class.")]

# Splits and audit

Split = Annotated[
    str | None,
    typer.Option(
        "--split",
        metavar="stratified|random|group|stratified_group|time|given",
        help="How. Default: what the other options call for, else stratified.",
    ),
]
SplitColumn = Annotated[
    str | None,
    typer.Option("--split-column", metavar="COL", help="Column that names the split."),
]
SplitsFile = Annotated[
    str | None,
    typer.Option("--splits-file", metavar="FILE", help="JSON file that names each id's split."),
]
GroupBy = Annotated[
    str | None,
    typer.Option("--group-by", metavar="COL", help="Rows of one group stay in one split."),
]
TimeColumn = Annotated[
    str | None,
    typer.Option("--time-column", metavar="COL", help="Train before validation before test."),
]
Gap = Annotated[
    str | None,
    typer.Option("--gap", metavar="7d", help="Time to leave out between the splits."),
]
Clusters = Annotated[
    bool | None,
    typer.Option(
        "--clusters/--no-clusters",
        help="Keep near-duplicates that were not dropped in one split. Default: yes.",
    ),
]
Folds = Annotated[
    int | None,
    typer.Option("--folds", metavar="K", help="Number train and validation rows by fold, 0…K-1."),
]
Sizes = Annotated[
    str | None, typer.Option("--sizes", metavar="T,V,T", help="Shares. Default: 0.8,0.1,0.1.")
]
Audit = Annotated[
    bool | None, typer.Option("--audit/--no-audit", help="Audit the splits. Default: yes.")
]
AuditRows = Annotated[
    int | None,
    typer.Option("--audit-rows", metavar="N", help="Rows that models of the audit see."),
]

# Derived columns

Encode = Annotated[
    str | None,
    typer.Option(
        "--encode",
        metavar="COL[=NAME]",
        help="Encode a text column, or one of message lists, to vectors.",
    ),
]
EncodeModel = Annotated[
    str | None,
    typer.Option("--encode-model", metavar="ID", help="The model to encode with."),
]
Vectors = Annotated[
    str | None,
    typer.Option(
        "--vectors", metavar="COL[,COL]", help="Columns that name npz or Parquet shards of vectors."
    ),
]
Fusion = Annotated[
    str | None,
    typer.Option(
        "--fusion",
        metavar="none|concat|sum_pool|max_pool",
        help="One vector of several, with a presence mask.",
    ),
]

# What comes out

Target = Annotated[
    str | None,
    typer.Option(
        "--target", "--target-hf-dataset", metavar="NS/NAME", help="Dataset repo to push to."
    ),
]
OutputFilename = Annotated[
    str | None,
    typer.Option("--output-filename", metavar="BASE", help="Write BASE_train.jsonl, … (in --out)."),
]
Format = Annotated[
    str | None,
    typer.Option("--format", metavar="parquet|csv|webdataset", help="Files of the repo."),
]
Public = Annotated[bool, typer.Option("--public", help="Make a new repo public. Default: private.")]
Incremental = Annotated[
    bool,
    typer.Option("--incremental", help="Add new rows to what the repo holds; its rows stay."),
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show everything, write nothing.")]
Engine = Annotated[
    str,
    typer.Option("--engine", metavar="local|ray[://ADDR]", help="Where the work is done."),
]
