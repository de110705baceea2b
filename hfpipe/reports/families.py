"""What a model card says of a model, by the family that it is of and by what it predicts."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from hfpipe.reports import words
from hfpipe.reports.kinds import kind_of

STOCK, ADAPTER = "stock text", "adapter"


@dataclass(frozen=True)
class Wording:
    """How one family of models is written about.

    Attributes:
        adjective: What kind of classifier it is, with a space behind; or nothing.
        library: The Hub's name of the library that loads it.
        tag: The Hub's task of its classifiers.
        about: One sentence on what is needed to use it, in Markdown.
    """

    adjective: str
    library: str
    tag: str
    about: Markup


_STOCK_ABOUT = Markup(
    "It is a stock `transformers` model: nothing but `transformers` is needed to use it."
)
FAMILIES: Mapping[str, Wording] = {
    STOCK: Wording("text ", "transformers", "text-classification", _STOCK_ABOUT),
    "stock image": Wording("image ", "transformers", "image-classification", _STOCK_ABOUT),
    ADAPTER: Wording(
        "text ",
        "peft",
        "text-classification",
        Markup(
            "It holds LoRA adapters and a head alone; `peft` puts them on the base that "
            "`adapter_config.json` names."
        ),
    ),
    "own": Wording(
        "",
        "transformers",
        "text-classification",
        Markup(
            "Its architecture is hfpipe's own. With `hfpipe` installed none of the repo's code is "
            "run; without it, `transformers` runs the code in this repo, so read that first."
        ),
    ),
    "tabular": Wording(
        "",
        "sklearn",
        "tabular-classification",
        Markup("It is a `scikit-learn` model, stored without pickle; `hfpipe` loads it."),
    ),
}


def wording(run: Mapping[str, Any]) -> Wording:
    """The wording for a model's ``hfpipe/run.json``; older ones name no family."""
    return FAMILIES.get(str(run.get("family") or STOCK), FAMILIES["own"])


def code_of(repo_id: str, run: Mapping[str, Any], labels: Sequence[str]) -> str:
    """Python that loads the model and asks it, ready to be copied.

    >>> print(code_of("ada/m", {"family": "tabular"}, []))
    import hfpipe
    <BLANKLINE>
    rows = [{}]
    hfpipe.load("ada/m").predict(rows)
    """
    family, name = str(run.get("family") or STOCK), json.dumps(repo_id)
    if family == ADAPTER:
        return (
            "from peft import AutoPeftModelForSequenceClassification\n\n"
            "model = AutoPeftModelForSequenceClassification.from_pretrained(\n"
            f"    {name}, num_labels={len(labels)}\n)"
        )
    if family in (STOCK, "stock image"):
        task = FAMILIES[family].tag
        asked = '"Your text"' if family == STOCK else '"picture.png"'
        more = ", top_k=3, truncation=True" if family == STOCK else ", top_k=3"
        return (
            "from transformers import pipeline\n\n"
            f'classify = pipeline("{task}", model={name})\n'
            f"classify({asked}{more})"
        )
    inputs = run.get("inputs") or {}
    columns = [column for each in inputs.values() for column in each.get("columns") or []]
    row = ", ".join(f"{json.dumps(str(column))}: ..." for column in dict.fromkeys(columns))
    found = f"import hfpipe\n\nrows = [{{{row}}}]\nhfpipe.load({name}).predict(rows)"
    if family == "own":
        found += (
            "\n\n# The network alone, without hfpipe: it runs the code in the repo.\n"
            "from transformers import AutoModel\n\n"
            f"model = AutoModel.from_pretrained({name}, trust_remote_code=True)"
        )
    return found


def opening(run: Mapping[str, Any], kind: str, labels: Sequence[str]) -> str:
    """What the model is, as the start of a sentence.

    >>> opening({}, "classification", ["a", "b"])
    'A text classifier with 2 labels'
    >>> opening({"family": "tabular", "label": "views"}, "regression", [])
    'A model that predicts the number views'
    """
    adjective = wording(run).adjective
    if kind == "regression":
        return f"A model that predicts the number {run.get('label') or ''}".rstrip()
    if kind == "binary" and len(labels) == 2:
        return f"A yes-or-no {adjective}classifier ({labels[1]} or {labels[0]})"
    several = ", any number of them a row" if kind == "multi_label" else ""
    article = "An" if adjective.startswith("i") else "A"
    return f"{article} {adjective}classifier with {words.count(len(labels), 'label')}{several}"


def pipeline_tag(run: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    """The Hub's name of the task.

    >>> pipeline_tag({"family": "own", "inputs": {"v": {"kind": "vector"}}}, {"roc_auc": 0.5})
    'tabular-classification'
    """
    if kind_of(metrics).name == "regression":
        return "tabular-regression"
    if run.get("family") != "own":
        return wording(run).tag
    kinds = {str(each.get("kind")) for each in (run.get("inputs") or {}).values()}
    tags = {"text": "text-classification", "image": "image-classification"}
    return next((tag for kind, tag in tags.items() if kind in kinds), "tabular-classification")


HUB_METRICS: Mapping[str, list[str]] = {
    "classification": ["accuracy", "f1"],
    "binary": ["roc_auc", "f1"],
    "multi_label": ["f1"],
    "regression": ["mse", "mae"],
}
"""The Hub's own names of the metrics in a card's header."""
