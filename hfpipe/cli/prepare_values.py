"""What the flags of ``hfpipe prepare`` say, as the values of its options."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hfpipe.recipe import Prepare


def implied(
    block: Prepare,
    given: str | None,
    group_by: str | None,
    time_column: str | None,
    task: str | None,
) -> str:
    """The way of splitting that the other options call for.

    Flags win over the recipe's way, but for one that goes along with them. In a recipe a time
    column calls for nothing: it may be there for the audit.

    Args:
        block: The recipe's.
        given: ``--split-column`` or ``--splits-file``.
        group_by: ``--group-by``.
        time_column: ``--time-column``.
        task: ``--task``.

    >>> from hfpipe.recipe import Prepare
    >>> implied(Prepare(), None, "author", None, None)
    'stratified_group'
    >>> implied(Prepare(split="time", time_column="at"), None, "author", None, None)
    'time'
    >>> implied(Prepare(split="group", group_by="author"), None, None, None, "regression")
    'group'
    """
    way = block.split
    if given or (way == "stratified" and (block.split_column or block.splits_file)):
        return "given"
    if time_column:
        return "time"
    grouped = group_by or block.group_by
    if way == "stratified" or (way == "random" and group_by):
        way = "stratified_group" if grouped else way
    if (task or block.task) == "regression" and way.startswith("stratified"):
        return "group" if grouped else "random"
    return way


def names(said: list[str] | None) -> list[str] | None:
    """Names, one flag or several, with commas or without.

    >>> names(["a, b", "c"]), names([","])
    (['a', 'b', 'c'], None)
    """
    return [part.strip() for each in said or [] for part in each.split(",") if part.strip()] or None


def pairs(said: list[str] | None) -> dict[str, str] | None:
    """``old=new`` pairs.

    >>> pairs(["fork=fork,*=technical"])
    {'fork': 'fork', '*': 'technical'}
    """
    from hfpipe.errors import UserError

    found = {}
    for each in names(said) or []:
        old, sign, new = each.partition("=")
        if not sign or not old.strip() or not new.strip():
            raise UserError(f"--map-labels {each}: write OLD=NEW, as spam=bad,*=good")
        found[old.strip()] = new.strip()
    return found or None


def shares(sizes: str | None) -> list[float] | None:
    """``--sizes`` as numbers.

    >>> shares("0.8,0.1,0.1")
    [0.8, 0.1, 0.1]
    """
    from hfpipe.errors import UserError

    if sizes is None:
        return None
    try:
        return [float(share) for share in sizes.split(",")]
    except ValueError as error:
        raise UserError(
            f"--sizes {sizes}: give three numbers (train,validation,test), as 0.8,0.1,0.1"
        ) from error
