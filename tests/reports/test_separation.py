"""ROC, precision-recall and threshold curves of several classes and of several labels."""

from __future__ import annotations

import html
import itertools
import math
import re
from typing import Any

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from hfpipe.evaluation.predictions import task_rows
from hfpipe.evaluation.record import evaluation_record
from hfpipe.metrics.multi_label import multi_label_metrics
from hfpipe.metrics.tasks import task_of
from hfpipe.reports.report import render_report
from hfpipe.reports.separation import separation
from hfpipe.reports.words import number
from tests.reports.support import Page, words_of

ROWS = 100_000


def page_of(found) -> str:
    return render_report(found.record.to_dict(), found.rows)


def drawing(page: str, identity: str) -> str:
    return page[page.index(f'id="{identity}-title"') :].split("</svg>")[0]


def key_of(svg: str) -> list[str]:
    """The lines of the key, as they are read."""
    texts = re.findall(r'<text[^>]*text-anchor="start"[^>]*>(.*?)</text>', svg)
    return [words_of(re.sub("<title>.*?</title>", "", each)) for each in texts if "·" in each]


def lines_of(svg: str, top: float) -> list[list[tuple[float, float]]]:
    """The points of every line, as shares."""
    found = []
    for path in re.findall(r'<polyline points="([^"]*)"', svg):
        pairs = [each.split(",") for each in path.split()]
        found.append([((float(x) - 44) / 330, (top + 300 - float(y)) / 300) for x, y in pairs])
    return found


def made(task, truth, scores, **more) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A record and its rows."""
    record = evaluation_record(task, truth, scores, model="m", **more).to_dict()
    ids = [str(at) for at in range(len(truth))]
    rows = task_rows(task, ids, [{}] * len(ids), truth, scores, more.get("threshold"))
    return record, list(rows)


def test_of_many_classes_the_eight_with_most_rows_are_drawn(topics):
    page = page_of(topics)
    assert "How well it tells each class from the others" in page
    assert "Shown are the 8 classes with most rows, of 26." in page
    counts = {name: each["support"] for name, each in topics.record.per_class.items()}
    largest = sorted(counts, key=lambda name: -counts[name])[:8]
    score = {name: [dict(zip(r["labels"], r["scores"], strict=True))[name] for r in topics.rows]
             for name in largest}  # fmt: skip
    for identity, short, value in (
        ("roc", "AUC", sklearn_metrics.roc_auc_score),
        ("pr", "AP", sklearn_metrics.average_precision_score),
    ):
        wanted = [
            f"{at} · {short} {value([r['truth'] == name for r in topics.rows], score[name]):.3f}"
            f" · {name}"
            for at, name in enumerate(largest, start=1)
        ]
        assert key_of(drawing(page, identity)) == wanted
    assert 'id="thresholds-title"' not in page, "several classes have no threshold"


def test_lines_are_told_apart_without_colours(topics):
    page = page_of(topics)
    for identity in ("roc", "pr"):
        svg = drawing(page, identity)
        dashes = re.findall(r'class="line" style="[^"]*stroke-dasharray: ([^"]*)"', svg)
        assert len(set(dashes)) == len(dashes) == 8
        assert re.findall(r'class="numbered">(\d)<', svg) == list("12345678")
        found = re.findall(r'<circle cx="([\d.]+)" cy="([\d.]+)" r="7.5"', svg)
        places = [(float(x), float(y)) for x, y in found]
        apart = [math.dist(a, b) for at, a in enumerate(places) for b in places[:at]]
        assert min(apart) > 16.5, "no number hides another"
        for (x, y), line in zip(places, lines_of(svg, 194), strict=True):
            steps = np.linspace(0, 1, 50)
            ends = np.array([(44 + 330 * a, 494 - 300 * b) for a, b in line])
            points = np.concatenate(
                [a + steps[:, None] * (b - a) for a, b in itertools.pairwise(ends)]
            )
            assert np.hypot(*(points - (x, y)).T).min() < 3.5, "a number lies on its own line"


def test_a_curve_runs_through_the_points_that_were_counted_by_hand():
    task = task_of("classification", ["a", "b", "c"])
    scores = [[0.7, 0.2, 0.1], [0.2, 0.5, 0.3], [0.5, 0.4, 0.1], [0.1, 0.1, 0.8]]
    page = render_report(*made(task, [0, 0, 1, 2], scores))
    svg = drawing(page, "roc")
    assert key_of(svg) == ["1 · AUC 0.750 · a", "2 · AUC 0.667 · b", "3 · AUC 1.000 · c"]
    a, b, _ = lines_of(svg, 94)
    # By falling score of a: right, wrong, right, wrong; of b: wrong, right, wrong, wrong.
    assert a == pytest.approx(np.array([(0, 0), (0, 0.5), (0.5, 0.5), (0.5, 1), (1, 1)]), abs=2e-3)
    third = np.array([(0, 0), (1 / 3, 0), (1 / 3, 1), (2 / 3, 1), (1, 1)])
    assert b == pytest.approx(third, abs=2e-3)
    a, *_ = lines_of(drawing(page, "pr"), 94)
    wanted = [(0, 1), (0.5, 1), (0.5, 0.5), (1, 2 / 3), (1, 0.5)]
    assert a == pytest.approx(np.array(wanted), abs=2e-3)


def test_the_numbers_of_the_record_go_before_those_that_are_counted(evaluations):
    found = evaluations["multi_label"]
    record = found.record.to_dict()
    page = render_report(record, found.rows)
    by_rows = sorted(record["per_class"].items(), key=lambda each: -each[1]["support"])
    assert key_of(drawing(page, "roc")) == [
        f"{at} · AUC {number(each['roc_auc'])} · {name}"
        for at, (name, each) in enumerate(by_rows, start=1)
    ]
    record["per_class"][by_rows[0][0]]["average_precision"] = 0.12345
    svg = drawing(render_report(record, found.rows), "pr")
    assert key_of(svg)[0] == f"1 · AP 0.123 · {by_rows[0][0]}"
    assert f"AP: {by_rows[0][0]} 0.123, " in words_of(svg), "a screen reader is told the same"


def test_a_class_without_rows_has_no_line():
    task = task_of("classification", ["a", "b", "c"])
    record, rows = made(task, [0, 1], [[0.8, 0.1, 0.1], [0.2, 0.7, 0.1]])
    page = render_report(record, rows)
    assert "Shown are 2 of 3 classes: the others have no row, or every row." in page
    assert key_of(drawing(page, "roc")) == ["1 · AUC 1.000 · a", "2 · AUC 1.000 · b"]


@pytest.mark.parametrize("kind", ["classification", "multi_label"])
def test_where_all_rows_are_alike_there_is_nothing_to_draw(kind):
    several = kind == "multi_label"
    truth = [[1, 0], [1, 0]] if several else [0, 0]
    page = render_report(*made(task_of(kind, ["a", "b"]), truth, [[0.8, 0.2], [0.4, 0.6]]))
    assert "How well it tells" not in page
    assert 'id="roc-title"' not in page


def test_one_threshold_for_all_labels_is_compared_with_one_each(evaluations):
    found = evaluations["multi_label"]
    page, record = page_of(found), found.record.to_dict()
    labels = list(record["per_class"])
    truth = np.array([[name in row["truth"] for name in labels] for row in found.rows])
    scores = np.array(
        [[dict(zip(r["labels"], r["scores"], strict=True))[n] for n in labels] for r in found.rows]
    )
    told = re.search(
        r"Here each label has a threshold of its own.*?reach a micro F1 of ([\d.]+)\. "
        r"The best common one, ([\d.]+), would reach ([\d.]+);",
        page,
    )
    assert told
    own, best, reached = map(float, told.groups())
    assert own == round(record["metrics"]["micro_f1"], 3)
    cuts = np.unique(scores)
    micro = [multi_label_metrics(truth, scores, cut)["micro_f1"] or 0 for cut in cuts]
    assert reached == round(max(micro), 3)
    assert best == pytest.approx(cuts[int(np.argmax(micro))], abs=0.02)

    svg = drawing(page, "thresholds")
    names = re.findall(r'<text[^>]*text-anchor="start"[^>]*>([^<]+)</text>', svg)
    assert names[:3] == ["Micro precision", "Micro recall", "Micro F1"]
    assert "threshold" not in " ".join(names), "no mark: there is not one threshold"
    paths = re.findall(r'<polyline points="([^"]*)"', svg)
    for path, name in zip(paths, ("micro_precision", "micro_recall", "micro_f1"), strict=False):
        points = [[float(part) for part in each.split(",")] for each in path.split()]
        x, y = min(points, key=lambda point: abs(point[0] - 44 - 330 * 0.5))
        wanted = multi_label_metrics(truth, scores, (x - 44) / 330)[name]
        assert (114 + 250 - y) / 250 == pytest.approx(wanted, abs=0.02), name


def test_one_threshold_that_all_labels_have_is_marked():
    draw = np.random.default_rng(2)
    truth = (draw.random((80, 2)) < 0.4).astype(float)
    scores = np.clip(0.3 * truth + 0.6 * draw.random((80, 2)), 0, 1)
    record, rows = made(task_of("multi_label", ["cat", "dog"]), truth, scores)
    page = render_report(record, rows)
    micro = number(record["metrics"]["micro_f1"])
    said = f"Here every label has the threshold 0.500, which reaches a micro F1 of {micro}."
    assert said in page
    assert ">threshold 0.500</text>" in drawing(page, "thresholds")


def test_the_confidence_of_all_labels_is_pooled(evaluations):
    found = evaluations["multi_label"]
    svg = drawing(page_of(found), "reliability")
    told = re.findall(
        r"<title>([\d.]+) % to ([\d.]+) %: ([\d.]+) % true of ([\d,]+) pairs?</title>", svg
    )
    assert len(told) == 2 * len(set(told)), "each bin has a bar of its share and one of its pairs"
    bins = sorted(set(told), key=lambda each: float(each[0]))
    assert sum(int(each[3].replace(",", "")) for each in bins) == 3 * len(found.rows)
    true = sum(float(each[2]) / 100 * int(each[3].replace(",", "")) for each in bins)
    assert true == pytest.approx(sum(len(row["truth"]) for row in found.rows), abs=1)


def rare(generator: np.random.Generator) -> list[dict[str, Any]]:
    """Many rows of three classes, one of which has a row of a thousand."""
    truth = generator.choice(3, ROWS, p=[0.7, 0.299, 0.001])
    odds = generator.normal(size=(ROWS, 3))
    odds[np.arange(ROWS), truth] += 2.5
    odds[:, 2] -= 3
    scores = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    names = ["common", "less", "rare"]
    return [
        {"truth": names[true], "labels": names, "scores": each}
        for true, each in zip(truth.tolist(), scores.tolist(), strict=True)
    ]


def test_many_rows_do_not_make_the_page_heavy_nor_the_curves_wrong():
    rows = rare(np.random.default_rng(3))
    names = ["common", "less", "rare"]
    record = {"metrics": {}, "per_class": {name: {} for name in names}}
    found = separation("classification", rows, record, names)
    assert sum(map(len, found.plots)) < 40_000
    for plot, value in (
        (found.plots[0], sklearn_metrics.roc_auc_score),
        (found.plots[1], sklearn_metrics.average_precision_score),
    ):
        for at, line in enumerate(lines_of(str(plot), 94)):
            assert 100 < len(line) <= 200
            x, y = np.array(line).T
            truth = [row["truth"] == names[at] for row in rows]
            exact = value(truth, [row["scores"][at] for row in rows])
            assert np.trapezoid(y, x) == pytest.approx(exact, abs=0.01), names[at]


def test_names_of_classes_stay_text(attack):
    page = page_of(attack)
    svg = drawing(page, "roc")
    assert Page(page).all("script") == []
    shown = " ".join(key_of(svg))
    assert "<script>document.title=" in shown
    assert html.escape("<script>document.title=", quote=False) in svg
