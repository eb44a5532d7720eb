import dataclasses
import io

import numpy as np
import pytest
import report_synthetic
from rich.console import Console

from pointdistill.report.comparison import difference_text, figure_text, lines, p_text
from pointdistill.report.schema import Results, Row, TaskResult
from pointdistill.report.tables import markdown_table, print_results, results_table


def printed(results: Results, width: int) -> str:
    stream = io.StringIO()
    print_results(results, Console(file=stream, width=width))
    return stream.getvalue()


def small(**changes) -> Results:
    task = TaskResult("accuracy", "%", "2 of 90", "2 a class", [0, 1], [70.0, 72.0], [80.0, 84.0])
    task = dataclasses.replace(task, **changes)
    return dataclasses.replace(report_synthetic.results(), tasks={"classification": task})


def test_texts():
    assert figure_text([70.0, 72.0]) == "71.0 ± 1.4"
    assert figure_text([70.0]) == "70.0 ± -"
    assert figure_text([]) == ""
    assert [difference_text(value) for value in (2.04, -3.0, -0.04, None)] == ["+2.0", "-3.0", "0.0", ""]
    assert [p_text(p) for p in (0.0004, 0.0234, 0.5, float("nan"))] == [
        "p < 0.001",
        "p = 0.023",
        "p = 0.50",
        "p unknown",
    ]


def test_small_table():
    assert markdown_table(small()).splitlines()[:3] == [
        "| task | protocol | labels | metric | scratch | distilled | diff. |",
        "|---|---|---|---|---:|---:|---:|",
        "| Classification | fine-tuning | 2 a class | accuracy | 71.0 ± 1.4 | 82.0 ± 2.8 | +11.0 |",
    ]
    text = " ".join(printed(small(), 100).split())
    assert "71.0 ± 1.4" in text and "2 fine-tuning seeds; 1 pre-training by distillation" in text
    assert "won" not in text and "naive" not in text


def test_rows_metrics_and_probe():
    rows = [
        Row("linear probe", "2 a class", "distilled", {"accuracy": [50.0, 52.0]}),
        Row("linear probe", "2 a class", "scratch", {"accuracy": [30.0, 30.0]}),
        Row("fine-tuning", "all", "scratch", {"accuracy": [91.0, 92.0]}),
        Row("fine-tuning", "2 a class", "point_mae", {"accuracy": [75.0, 76.0], "F1": [60.0, 61.0]}),
    ]
    found = lines(small(rows=rows, no_learning=5.0))
    assert [(line.protocol, line.labels, line.metric) for line in found] == [
        ("fine-tuning", "2 a class", "accuracy"),
        ("fine-tuning", "2 a class", "F1"),
        ("fine-tuning", "all", "accuracy"),
        ("linear probe", "2 a class", "accuracy"),
    ]
    assert [line.main for line in found] == [True, False, False, False]
    assert [line.difference for line in found] == [11.0, None, None, 21.0]
    assert [line.no_learning for line in found] == [5.0, None, 5.0, None]
    assert list(found[0].figures) == ["scratch", "distilled", "point_mae"]


def test_verdicts_come_from_the_results_alone():
    better = small(scratch=[1.0, 1.1], distilled=[99.0, 99.1])
    assert "won" not in printed(better, 100).lower()
    assert " no" in printed(
        dataclasses.replace(better, tasks={"a": dataclasses.replace(better.tasks["classification"], won=False)}), 100
    )


def test_smoke_run_says_so():
    text = printed(report_synthetic.results("fast", 1), 120)
    assert "Smoke run: the figures mean nothing." in text and "± -" in text
    assert "Smoke run" in markdown_table(report_synthetic.results("fast", 1))
    assert "Smoke run" not in printed(report_synthetic.results(), 120)


@pytest.mark.parametrize("width", [40, 80, 200])
def test_nothing_is_cut(width):
    text = printed(report_synthetic.results("thorough", 5, controls=True), width)
    for line in lines(report_synthetic.results("thorough", 5, controls=True)):
        for figures in line.figures.values():
            assert f"{np.mean(figures):.1f}" in text
    assert "…" not in text


def test_no_control_characters_in_a_file():
    assert "\x1b" not in printed(report_synthetic.results(), 100)


def test_table_alone_warns():
    stream = io.StringIO()
    Console(file=stream, width=120).print(results_table(report_synthetic.results("fast", 1)))
    assert "Smoke run: the figures mean nothing." in stream.getvalue()
