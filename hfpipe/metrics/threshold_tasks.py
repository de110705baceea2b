"""The tasks whose answer hangs on a threshold: yes or no, and any number of labels a row."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from hfpipe.errors import UserError
from hfpipe.metrics import binary, multi_label
from hfpipe.metrics.binary import THRESHOLD, binary_metrics
from hfpipe.metrics.calibration import reliability
from hfpipe.metrics.classification import per_class
from hfpipe.metrics.multi_label import levels, multi_label_metrics, per_label
from hfpipe.metrics.scores import Floats, as_scores
from hfpipe.metrics.task import Metrics, Task, Threshold, other_shape
from hfpipe.metrics.thresholds import best_per_label, best_threshold


class Binary(Task):
    """Yes or no."""

    name = "binary"
    primary = "roc_auc"  # type: ignore[assignment]
    default_threshold = THRESHOLD

    @property
    def sides(self) -> list[str]:
        """What the negative and the positive class are called."""
        return self.labels or ["0", "1"]

    def scores(self, logits: npt.ArrayLike) -> Floats:
        """Probability (rows,) of the positive class: of one logit by sigmoid, of two by softmax.

        >>> Binary().scores([[0.0], [2.0]]).round(4).tolist()
        [0.5, 0.8808]
        >>> Binary().scores([[0.0, 2.0]]).round(4).tolist()
        [0.8808]
        """
        found = np.asarray(logits, dtype=np.float64)
        if found.ndim == 2 and found.shape[1] == 2:
            found = found[:, 1] - found[:, 0]
        if found.ndim == 2 and found.shape[1] == 1:
            found = found[:, 0]
        if found.ndim != 1:
            raise other_shape(found, "(rows,), (rows, 1) or (rows, 2)")
        return np.asarray(expit(found), dtype=np.float64)

    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> Metrics:
        """See :func:`hfpipe.metrics.binary.binary_metrics`; and ``ece``.

        ``ece`` is of the positive class's probability against the share of positive rows, in 15
        bins of equal width.

        >>> found = Binary().metrics([1, 0, 0], [0.9, 0.2, 0.6], threshold=0.7)
        >>> found["f1"], round(found["ece"], 4)
        (1.0, 0.3)
        """
        found = binary_metrics(truth, scores, self.used_threshold(threshold))
        there = len(np.asarray(truth))
        return found | {"ece": float(reliability(scores, truth).error) if there else None}

    def choices(
        self, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> npt.NDArray[np.int64]:
        """1 from the threshold on."""
        at = self.used_threshold(threshold)
        return (np.asarray(scores, dtype=np.float64) >= at).astype(np.int64)

    def per_class(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> dict[str, Metrics]:
        """Precision, recall, F1 and support at the threshold."""
        chosen = np.eye(2)[self.choices(scores, threshold)]
        return per_class(np.asarray(truth, dtype=np.int64), chosen.reshape(-1, 2), self.sides)

    def undefined(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> dict[str, str]:
        """See :func:`hfpipe.metrics.binary.undefined`."""
        reasons = binary.undefined(truth, scores, self.used_threshold(threshold))
        return reasons if len(np.asarray(truth)) else reasons | {"ece": "no rows"}

    def best_threshold(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, aim: str = "f1"
    ) -> float | None:
        """The threshold that serves the aim best; None where there is no choosing.

        >>> Binary().best_threshold([0, 0, 1, 1], [0.1, 0.6, 0.4, 0.8])
        0.25
        >>> Binary().best_threshold([1, 1], [0.1, 0.6]), Binary().no_choice([1, 1], [0.1, 0.6])
        (None, {'1': 'no negative row'})
        """
        return best_threshold(truth, scores, aim).threshold

    def no_choice(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, aim: str = "f1"
    ) -> dict[str, str]:
        """Why there is no choosing, under the name of the positive class."""
        reason = best_threshold(truth, scores, aim).reason
        return {} if reason is None else {self.sides[1]: reason}

    def used_threshold(self, threshold: Threshold | None) -> float:
        """The threshold that counts if this one is given; 0.5 if none is."""
        if isinstance(threshold, dict):
            raise UserError("a yes-or-no task has one threshold, not one for each label")
        return THRESHOLD if threshold is None else threshold


class MultiLabel(Task):
    """Any number of labels a row."""

    name = "multi_label"
    primary = "macro_f1"  # type: ignore[assignment]
    default_threshold = THRESHOLD

    def scores(self, logits: npt.ArrayLike) -> Floats:
        """Probability (rows, classes) of every label by sigmoid."""
        matrix = np.asarray(logits, dtype=np.float64)
        if matrix.ndim != 2 or matrix.shape[1] != len(self.labels):
            raise other_shape(matrix, f"(rows, {len(self.labels)})")
        return np.asarray(expit(matrix), dtype=np.float64)

    def metrics(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> Metrics:
        """See :func:`hfpipe.metrics.multi_label.multi_label_metrics`."""
        return multi_label_metrics(truth, scores, self._levels(threshold))

    def undefined(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> dict[str, str]:
        """See :func:`hfpipe.metrics.multi_label.undefined`."""
        return multi_label.undefined(truth, scores, self._levels(threshold))

    def choices(
        self, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> npt.NDArray[np.int64]:
        """(rows, classes), 1 from the threshold on.

        >>> MultiLabel(["a", "b"]).choices([[0.4, 0.4]], {"b": 0.5, "a": 0.3}).tolist()
        [[1, 0]]
        """
        return (as_scores(scores) >= self._levels(threshold)).astype(np.int64)

    def per_class(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, threshold: Threshold | None = None
    ) -> dict[str, Metrics]:
        """See :func:`hfpipe.metrics.multi_label.per_label`."""
        return per_label(truth, scores, self.labels, self._levels(threshold))

    def best_threshold(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, aim: str = "f1"
    ) -> dict[str, float] | None:
        """One threshold a label, each for itself; 0.5 where a label has no choice.

        >>> MultiLabel(["a", "b"]).best_threshold([[0, 0], [1, 0]], [[0.25, 0.1], [0.5, 0.3]])
        {'a': 0.375, 'b': 0.5}

        Returns:
            None where no label has a choice.
        """
        found = best_per_label(truth, scores, self.labels, aim)
        if all(best.threshold is None for best in found.values()):
            return None
        return {label: best.or_half for label, best in found.items()}

    def no_choice(
        self, truth: npt.ArrayLike, scores: npt.ArrayLike, aim: str = "f1"
    ) -> dict[str, str]:
        """Why labels have no choice.

        >>> MultiLabel(["a", "b"]).no_choice([[0, 0], [1, 0]], [[0.2, 0.1], [0.4, 0.3]])
        {'b': 'no positive row'}
        """
        found = best_per_label(truth, scores, self.labels, aim)
        return {label: best.reason for label, best in found.items() if best.reason is not None}

    def used_threshold(self, threshold: Threshold | None) -> Threshold:
        """The threshold that counts if this one is given; 0.5 if none is.

        Raises:
            UserError: Not a number for each label, and no other.
        """
        if not isinstance(threshold, dict):
            return THRESHOLD if threshold is None else threshold
        return dict(
            zip(self.labels, levels(threshold, len(self.labels), self.labels).tolist(), strict=True)
        )

    def _levels(self, threshold: Threshold | None) -> float | Floats:
        used = self.used_threshold(threshold)
        return levels(used, len(self.labels), self.labels) if isinstance(used, dict) else used

    def labelled(self, truth: npt.ArrayLike) -> npt.NDArray[np.bool_]:
        """Rows without NaN."""
        return np.logical_not(np.isnan(np.asarray(truth, dtype=np.float64)).any(axis=1))

    def unknown(self, rows: int) -> npt.NDArray[np.float64]:
        """NaN for every class of a row."""
        return np.full((rows, len(self.labels)), np.nan)

    def metric_names(self) -> list[str]:
        """The same for any labels."""
        none = np.empty((0, max(1, len(self.labels))))
        return list(self.metrics(none, none))
