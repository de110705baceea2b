"""``rates`` on the command line, in a suite, and in recipes that stand on another."""

from __future__ import annotations

from typing import Any

import pytest

from hfpipe.blocks import Group
from hfpipe.recipe import as_yaml, load_recipe
from hfpipe.suites.planning import _with_values

POOLER, HEAD = Group(times=3.3), Group(times=10.0)


@pytest.mark.parametrize(
    ("overrides", "rates"),
    [
        ([], {"*pooler": POOLER, "head": HEAD}),
        (["rates.head=1e-3"], {"*pooler": POOLER, "head": Group(1e-3)}),
        (["rates.head=2.5x"], {"*pooler": POOLER, "head": Group(times=2.5)}),
        (["rates.head.weight_decay=0"], {"*pooler": POOLER, "head": Group(None, 0.0, 10.0)}),
        (["rates.head=null"], {"*pooler": POOLER}),
        (["rates={*pooler: null}"], {"head": HEAD}),
        (["rates=null"], {}),
        (["rates=null", "rates.layers.1=2x"], {"layers.1": Group(times=2.0)}),
        (
            ["rates.base.pooler=1e-4", "rates.layers.1.weight_decay=0"],
            {
                "*pooler": POOLER,
                "head": HEAD,
                "base.pooler": Group(1e-4),
                "layers.1": Group(weight_decay=0.0),
            },
        ),
    ],
)
def test_overrides(overrides: list[str], rates: dict[str, Group]) -> None:
    assert load_recipe("topics_minilm", overrides).rates == rates


def test_a_recipe_that_was_written_out_is_the_same(tmp_path) -> None:
    recipe = load_recipe("topics_minilm", ["rates.layers.1=1e-4"])
    path = tmp_path / "topics_minilm.yaml"
    path.write_text(as_yaml(recipe))
    assert load_recipe(str(path)) == recipe


def test_what_was_measured_for_minilm_is_not_taken_for_deberta() -> None:
    assert load_recipe("topics_deberta").rates == {}


@pytest.mark.parametrize(
    ("key", "value", "group", "told"),
    [
        ("rates.head", 1e-3, "head", Group(1e-3)),
        ("rates.head", "5x", "head", Group(times=5.0)),
        ("rates.layers.1", 1e-3, "layers.1", Group(1e-3)),
        ("rates.head.times", 5, "head", Group(times=5.0)),
    ],
)
def test_a_suite_varies_rates(key: str, value: Any, group: str, told: Group) -> None:
    recipe = load_recipe("topics_minilm")
    assert _with_values(recipe, {key: value}).rates[group] == told
    assert recipe.rates["head"] == HEAD
