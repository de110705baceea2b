"""Many different numbers or dates as few bins, which have names and an order."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

QUARTILES = (0.25, 0.5, 0.75)
ROUNDING = 0.01
"""The borders of numbers are rounded as long as no more than this share of rows changes sides."""
_NUMBERS = (int, float, Decimal, np.integer, np.floating)
_DAY = re.compile(r"\d{4}-(0[1-9]|1[0-2])-\d{2}([T ].*)?")


class Bin(str):
    """The name of a slice that has its place among those of its column.

    >>> sorted([Bin("> 5", 1), Bin("1-5", 0)], key=lambda each: each.place)
    ['1-5', '> 5']
    """

    place: float

    def __new__(cls, name: str, place: float = 0.0) -> Bin:
        """Name a slice, and say where it stands."""
        made = super().__new__(cls, name)
        made.place = place
        return made


def quartiles(numbers: npt.ArrayLike, unit: str = "", units: str = "") -> list[Bin]:
    """For every number the name of the quarter of all numbers that it is in.

    Equal numbers are never parted. One that more than a quarter of them are equal to has a bin of
    its own, so that there may be more bins than four, or fewer. Bins of whole numbers are named by
    the least and the greatest number in them; others by their borders, which are rounded to three
    digits or more, and cut exactly there.

    Args:
        numbers: ``(rows,)``, without NaN.
        unit: What one of them is, in words.
        units: The plural.

    >>> quartiles([1, 2, 3, 4, 5, 6, 7, 8], "word", "words")[::2]
    ['1-2 words', '3-4 words', '5-6 words', '7-8 words']
    >>> sorted(set(quartiles([0, 0, 0, 0, 1, 1, 3, 5])))
    ['0', '1', '3-5']
    >>> sorted(set(quartiles([0.125, 0.2, 0.3, 0.4])))
    ['<= 0.125', '> 0.125 to 0.2', '> 0.2 to 0.3', '> 0.3']
    """
    found = np.asarray(numbers, np.float64)
    if not len(found):
        return []
    edges = _edges(found)
    whole = bool((np.isfinite(found) & (found == np.floor(found)) & (abs(found) < 2**53)).all())
    if whole:
        codes = np.searchsorted(edges, found)
        names = [
            _range(found[codes == at].min(), found[codes == at].max(), unit, units)
            for at in range(len(edges) + 1)
        ]
    else:
        shown, texts = _rounded(found, edges)
        codes = np.searchsorted(shown, found)
        names = [f"{each} {units}".strip() for each in _between(texts)]
    bins = [Bin(name, at) for at, name in enumerate(names)]
    return [bins[at] for at in codes]


def _edges(numbers: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The greatest number of every bin but the last."""
    ordered = np.sort(numbers)
    at = [int(np.ceil(share * len(ordered))) - 1 for share in QUARTILES]
    cuts, hits = np.unique(ordered[at], return_counts=True)
    values = np.unique(ordered)
    heavy = np.searchsorted(values, cuts[hits > 1])
    if cuts[-1] == values[-1]:  # what is below it would else stay with the bin before
        heavy = np.union1d(heavy, np.searchsorted(values, cuts[-1:]))
    below = values[heavy[heavy > 0] - 1]
    edges = np.union1d(cuts, below)
    return edges[edges < values[-1]]


def _rounded(
    numbers: npt.NDArray[np.float64], edges: npt.NDArray[np.float64]
) -> tuple[npt.NDArray[np.float64], list[str]]:
    """Borders with as few digits as leave the bins about as they are, and how they are written."""
    wanted = np.searchsorted(edges, numbers)
    for digits in range(3, 18):
        shown = np.array([float(f"{edge:.{digits}g}") for edge in edges])
        codes = np.searchsorted(shown, numbers)
        filled = len(np.unique(codes)) == len(edges) + 1
        if filled and (codes != wanted).mean() <= ROUNDING:
            break
    return shown, [_figure(edge, digits) for edge in shown]


def _figure(number: float, digits: int) -> str:
    """A number as people write it.

    >>> _figure(0.125, 3), _figure(2021.0, 3), _figure(1250000.0, 3)
    ('0.125', '2021', '1,250,000')
    """
    if number.is_integer() and abs(number) < 1e15:
        return f"{int(number):,}" if abs(number) >= 10_000 else str(int(number))
    return f"{number:.{digits}g}"


def _range(low: float, high: float, unit: str, units: str) -> str:
    first, last = _figure(float(low), 17), _figure(float(high), 17)
    between = " to " if low < 0 else "-"
    name = first if low == high else f"{first}{between}{last}"
    return f"{name} {unit if high == 1 == low else units}".strip()


def _between(borders: Sequence[str]) -> list[str]:
    if not borders:
        return ["any"]
    inner = [f"> {low} to {high}" for low, high in pairwise(borders)]
    return [f"<= {borders[0]}", *inner, f"> {borders[-1]}"]


def cut_numbers(values: Sequence[Any]) -> list[Bin] | None:
    """The quarter that each value is in; None where one is no number.

    >>> cut_numbers([1, 2.5]), cut_numbers([1, "2"])
    (['<= 1', '> 1'], None)
    """
    if not all(isinstance(each, _NUMBERS) and not isinstance(each, bool) for each in values):
        return None
    return quartiles([float(each) for each in values])


def cut_dates(values: Sequence[Any], most: int) -> list[Bin] | None:
    """Each value's month, or year, or quarter of all years; None where one is no date.

    Args:
        values: Dates, times, or texts that begin with YEAR-MONTH-DAY.
        most: With more months than this they are cut by year, with more years at their quartiles.

    >>> cut_dates(["2024-01-05", "2024-03-09T10:00:00"], 20), cut_dates(["today"], 20)
    (['2024-01', '2024-03'], None)
    >>> cut_dates(["2024-01-05", "2025-03-09", "2025-07-01"], 2)
    ['2024', '2025', '2025']
    """
    texts = [str(each) if isinstance(each, (str, date, np.datetime64)) else "" for each in values]
    if not all(_DAY.fullmatch(text) for text in texts):
        return None
    for length in (7, 4):
        cut = [text[:length] for text in texts]
        if len(set(cut)) <= most:
            return [Bin(each, int(each.replace("-", ""))) for each in cut]
    return quartiles([int(text[:4]) for text in texts])
