"""What every tabular model does: fit, predict, save, load."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt

from hfpipe.errors import UserError
from hfpipe.models.skops_files import load_skops, save_skops
from hfpipe.models.table import Floats, Table

SUMMARY = "tabular.json"
ESTIMATOR = "tabular.skops"


class TabularModel(ABC):
    """What both families do: fit, predict, save, load."""

    family: ClassVar[str]
    trusted: ClassVar[tuple[str, ...]]
    #: What ``fit`` takes besides data and seed.
    options: ClassVar[tuple[str, ...]]

    def __init__(self, estimator: Any, widths: dict[str, int]) -> None:
        """Take fitted scikit-learn parts, and how many columns of each kind they know."""
        self.estimator = estimator
        self.widths = widths

    @classmethod
    @abstractmethod
    def fit(
        cls,
        table: Table,
        targets: npt.ArrayLike,
        *,
        seed: int = 0,
        validation: tuple[Table, npt.ArrayLike] | None = None,
        **options: Any,
    ) -> Self:
        """Learn from train rows.

        Args:
            table: Their columns.
            targets: (rows,) in the scale that is to be predicted.
            seed: The same gives the same model.
            validation: Other rows, which may only say when to stop.
            **options: See the family.

        Raises:
            UserError: Too few rows, or targets that are not finite.
        """

    def predict(self, table: Table) -> Floats:
        """Targets, (rows,), of other rows.

        Raises:
            UserError: Another number of columns than at training.
        """
        for name, width in table.widths().items():
            if width != self.widths[name]:
                raise UserError(
                    f"{name} have {width} columns, but the model was trained with "
                    f"{self.widths[name]}: encode the rows with the model's own processor"
                )
        if not len(table):
            return np.empty(0)
        return self.answer(table)

    @abstractmethod
    def answer(self, table: Table) -> Floats:
        """:meth:`predict` of at least one row, whose columns are those of training."""

    def save(self, folder: str | Path) -> None:
        """Write the model into a folder; :func:`load_tabular` reads it back."""
        import sklearn
        import skops

        target = Path(folder)
        target.mkdir(parents=True, exist_ok=True)
        save_skops(self.estimator, target / ESTIMATOR, self.trusted)
        summary = {
            "format": 1,
            "family": self.family,
            "widths": self.widths,
            "trusted": list(self.trusted),
            "versions": {"scikit-learn": sklearn.__version__, "skops": skops.__version__},
        }
        (target / SUMMARY).write_text(json.dumps(summary | self.more(), indent=2) + "\n")

    @classmethod
    def load(cls, folder: Path, summary: dict[str, Any]) -> Self:
        """Read what :meth:`save` wrote; ``summary`` is its ``tabular.json``."""
        return cls(load_skops(folder / ESTIMATOR, cls.trusted), summary["widths"])

    def more(self) -> dict[str, Any]:
        """What the family adds to ``tabular.json``."""
        return {}


def side_by_side(table: Table, vectors: Floats) -> Floats:
    """Numeric, categories and (perhaps projected) vectors as one matrix."""
    return np.hstack([table.numeric, table.categories, vectors])
