"""What a model said of rows as flat columns: one value a cell, as a table or a submission needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import pyarrow as pa

from hfpipe.errors import UserError, nearest
from hfpipe.metrics.tasks import Binary, Classification, MultiLabel, Regression, Task

Said = Mapping[str, Any]
ByLabel = Mapping[str, float]
ID = "id"
OF_INPUT = "input."
"""Before the name of an input column that an output column is called like."""


@dataclass(frozen=True)
class Answer:
    """A column made of what the model said.

    Attributes:
        type: Of its values.
        read: A row of ``predictions.jsonl`` and its scores by label → the value.
        usual: Whether it is written where no columns are chosen.
    """

    type: pa.DataType
    read: Callable[[Said, ByLabel], Any]
    usual: bool = True


COUNTED = Answer(pa.int64(), lambda row, scores: int(row["row_id"]))
"""The ``id`` of rows that have none: their number."""


def answers_of(
    task: Task, top: int | None = None, *, calibrated: bool = False
) -> dict[str, Answer]:
    """The columns that a task's predictions have, in order.

    ``prediction`` is the decision; ``score`` the probability of the positive class of a yes or no,
    of the predicted class of several, and absent elsewhere; ``score.LABEL`` that of each label;
    with ``top`` the best labels and their scores as ``label_1, score_1, label_2, …``.

    Args:
        task: What is predicted.
        top: How many of the best labels have columns of their own.
        calibrated: Whether there is an ``uncalibrated`` score too, to be chosen by name.

    Raises:
        UserError: ``top`` of a number, or more than there are labels.

    >>> list(answers_of(Classification(["a", "b"])))
    ['prediction', 'score', 'score.a', 'score.b']
    >>> [name for name, each in answers_of(Binary(["no", "yes"]), top=1).items() if each.usual]
    ['prediction', 'score', 'label_1', 'score_1']
    >>> said = {"prediction": "yes", "score": 0.4, "uncalibrated": 0.7}
    >>> raw = answers_of(Binary(["no", "yes"]), calibrated=True)["uncalibrated"]
    >>> raw.read(said, {}), raw.usual
    (0.7, False)
    """
    labels = task.sides if isinstance(task, Binary) else task.labels
    _check_top(top, labels)
    words = pa.list_(pa.string()) if isinstance(task, MultiLabel) else pa.string()
    number = isinstance(task, Regression)
    found = {"prediction": Answer(pa.float64() if number else words, _value("prediction"))}
    if isinstance(task, Binary):
        found["score"] = Answer(pa.float64(), _value("score"))
    elif isinstance(task, Classification):
        found["score"] = Answer(pa.float64(), _ranked("scores", 0))
    usual = top is None and not isinstance(task, Binary)
    for label in labels:
        found[f"score.{label}"] = Answer(pa.float64(), partial(_of_label, label), usual)
    for place in range(top or 0):
        found[f"label_{place + 1}"] = Answer(pa.string(), _ranked("labels", place))
        found[f"score_{place + 1}"] = Answer(pa.float64(), _ranked("scores", place))
    if calibrated:
        raw = Answer(pa.float64(), lambda row, scores: row.get("uncalibrated"), usual=False)
        found["uncalibrated"] = raw
    return found


def of_groups(answers: Mapping[str, Answer], group_by: str) -> dict[str, Answer]:
    """The columns of a model that judges groups of rows: ``id`` is whose they are.

    Args:
        answers: Those of ``answers_of``.
        group_by: The column that says whose a row is; may be chosen by its own name too, as may
            ``rows``, which counts them.

    >>> found = of_groups(answers_of(Binary(["no", "yes"])), "author")
    >>> [name for name, each in found.items() if each.usual]
    ['id', 'prediction', 'score']
    """
    owner = Answer(pa.string(), lambda row, scores: row["row_id"])
    count = Answer(pa.int64(), lambda row, scores: row["inputs"]["rows"], usual=False)
    return {ID: owner, **answers, "rows": count, group_by: replace(owner, usual=False)}


def answer_arrays(answers: Mapping[str, Answer], said: Sequence[Said]) -> dict[str, pa.Array]:
    """The columns of some rows.

    Args:
        answers: Those of ``answers_of`` that are wanted.
        said: Rows of ``predictions.jsonl``.

    >>> row = {"prediction": "b", "labels": ["b", "a"], "scores": [0.7, 0.3]}
    >>> found = answer_arrays(answers_of(Classification(["a", "b"])), [row])
    >>> {name: column.to_pylist() for name, column in found.items()}
    {'prediction': ['b'], 'score': [0.7], 'score.a': [0.3], 'score.b': [0.7]}
    """
    by_label = [
        dict(zip(row.get("labels", ()), row.get("scores", ()), strict=True)) for row in said
    ]
    return {
        name: pa.array(
            [each.read(row, scores) for row, scores in zip(said, by_label, strict=True)], each.type
        )
        for name, each in answers.items()
    }


@dataclass(frozen=True)
class Layout:
    """The columns of an output file.

    Attributes:
        schema: Its columns and their types.
        taken: Name in the file → the input column that it is.
        answered: Name in the file → what the model says.
    """

    schema: pa.Schema
    taken: Mapping[str, str]
    answered: Mapping[str, Answer]

    @classmethod
    def of(
        cls,
        answers: Mapping[str, Answer],
        given: pa.Schema | None = None,
        id_column: str | None = None,
        chosen: Sequence[str] = (),
    ) -> Layout:
        """Settle what is written.

        Args:
            answers: What there is to say of a row.
            given: The columns of the input.
            id_column: The one of them that ``id`` stands for; None where ``id`` is an answer.
            chosen: Names of answers and input columns, each maybe as ``new=old``; a name of both is
                the answer's, and ``input.NAME`` the column's. Nothing for ``id`` and all answers
                that are usual.

        Raises:
            UserError: A name that there is not, or one that two columns would have.

        >>> answers = {"prediction": Answer(pa.string(), _value("prediction"))}
        >>> given = pa.schema([("key", pa.int64()), ("prediction", pa.int8())])
        >>> Layout.of(answers, given, "key").schema.names
        ['id', 'prediction']
        >>> chosen = ["key", "label=prediction", "input.prediction"]
        >>> found = Layout.of(answers, given, "key", chosen)
        >>> found.taken, list(found.answered)
        ({'key': 'key', 'input.prediction': 'prediction'}, ['label'])
        """
        given = pa.schema([]) if given is None else given
        inputs = {f"{OF_INPUT}{name}": name for name in given.names}
        inputs |= {name: name for name in given.names}
        if id_column is not None:
            inputs[ID] = id_column
        usual = [ID, *(name for name, each in answers.items() if each.usual and name != ID)]
        pairs = _pairs(chosen or usual, answers, inputs)
        taken = {new: inputs[old] for new, old in pairs.items() if old not in answers}
        answered = {new: answers[old] for new, old in pairs.items() if old in answers}
        kinds = {new: given.field(name).type for new, name in taken.items()}
        kinds |= {new: each.type for new, each in answered.items()}
        return cls(pa.schema([(new, kinds[new]) for new in pairs]), taken, answered)

    def table(self, rows: pa.Table, said: Sequence[Said]) -> pa.Table:
        """Rows of the file.

        Args:
            rows: Rows of the input.
            said: What the model said of them, in their order.
        """
        made: dict[str, Any] = answer_arrays(self.answered, said)
        made |= {new: rows.column(name) for new, name in self.taken.items()}
        return pa.table([made[name] for name in self.schema.names], schema=self.schema)


def _pairs(
    chosen: Sequence[str], answers: Mapping[str, Answer], inputs: Mapping[str, str]
) -> dict[str, str]:
    """Name in the file → name of an answer or an input column."""
    pairs: dict[str, str] = {}
    for text in chosen:
        new, _, old = (text, "", text) if text in answers or text in inputs else text.partition("=")
        old = old or new
        if not new or (old not in answers and old not in inputs):
            names = [*answers, *(name for name in inputs if not name.startswith(OF_INPUT))]
            raise UserError(f"--columns: no column '{old}'{nearest(old, names)}")
        if new in pairs:
            raise UserError(
                f"--columns: two columns would be called '{new}': rename one, as in 'other={old}'"
            )
        pairs[new] = old
    return pairs


def _check_top(top: int | None, labels: Sequence[str]) -> None:
    if top is None:
        return
    if not labels:
        raise UserError(f"--top {top}: the model predicts a number, and has no labels to rank")
    if not 1 <= top <= len(labels):
        raise UserError(f"--top {top}: the model has {len(labels)} labels: give 1 to {len(labels)}")


def _value(key: str) -> Callable[[Said, ByLabel], Any]:
    return lambda row, scores: row[key]


def _ranked(key: str, place: int) -> Callable[[Said, ByLabel], Any]:
    return lambda row, scores: row[key][place]


def _of_label(label: str, row: Said, scores: ByLabel) -> float:
    return scores[label]
