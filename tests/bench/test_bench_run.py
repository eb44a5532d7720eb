"""How measurements are called, shown and written; never whether this machine is fast."""

import json
from functools import partial
from typing import get_args

import pytest
from rich.console import Console

from pointdistill import cli
from pointdistill.bench import run
from pointdistill.bench.figure import Figure, Limit, number, show
from pointdistill.console import console
from pointdistill.verbs.whole import Measurement

ROWS = [
    Figure("a search", 2.0, "ms", {"plain": 8.0, "peer": 1.0}, Limit("3 ms or less", True), "by the clock 2.5"),
    Figure(
        "a rate",
        2000.0,
        "clouds/s",
        {"peer": 4000.0},
        Limit("5,000 or more", False),
        parts={"drawing": 700.0},
        more=True,
    ),
]


def test_ratios_say_how_many_times_as_quick_ours_is():
    search, rate = ROWS
    assert (search.ratio("plain"), search.ratio("peer"), rate.ratio("peer")) == (4, 0.5, 0.5)
    assert search.as_json()["others"]["plain"] == {"figure": 8.0, "ratio": 4.0}
    assert rate.as_json()["limit"] == {"text": "5,000 or more", "held": False}


def test_the_table_says_everything():
    with (wide := Console(width=160)).capture() as captured:
        show("search: how long", ROWS, wide)
    rows = [" ".join(line.split()) for line in captured.get().splitlines()]
    assert "a search; by the clock 2.5 2 ms plain 8 4.00 3 ms or less: held" in rows and "peer 1 0.50" in rows
    assert "a rate 2,000 clouds/s peer 4,000 0.50 5,000 or more: MISSED" in rows and "of it drawing 700" in rows


@pytest.mark.parametrize(("value", "text"), [(0, "0"), (0.123456, "0.123"), (99.96, "100"), (12345.6, "12,346")])
def test_numbers(value, text):
    assert number(value) == text


def test_every_measurement_can_be_asked_for():
    assert get_args(Measurement) == tuple(run.PARTS)


def test_names_are_measured_once_each_in_their_order(monkeypatch, capsys):
    asked = []

    def measure(settings, name):
        console.print("what preparing its data says")
        asked.append(name)
        return ROWS

    monkeypatch.setattr(run, "PARTS", {name: (f"about {name}", partial(measure, name=name)) for name in "ab"})
    monkeypatch.setattr(run, "in_own_process", lambda measure, *arguments: measure(*arguments))
    run.bench(["b", "a", "b"], run.Settings())
    printed = capsys.readouterr().out
    assert asked == ["b", "a"] and "b: about b" in printed and "preparing its data" not in printed
    cli.main(["bench", "--json"])
    said = json.loads(capsys.readouterr().out)
    assert not console.quiet and set(said["figures"]) == {"a", "b"}
    assert [row["what"] for row in said["figures"]["a"]] == ["a search", "a rate"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["geometry", "--reference", "x.py"], "--reference belongs to bench sens. Leave it out, or name sens"),
        (["metrics", "--recording", "x"], "--recording belongs to bench sens or prepare. Leave it out"),
        (["metrics", "--store", "x"], "--store belongs to bench feed"),
        (["metrics", "--scenes", "0"], "scenes"),
    ],
)
def test_settings_of_what_is_not_measured(given, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["bench", *given])
    assert message in capsys.readouterr().err


def test_an_unknown_name(capsys):
    with pytest.raises(SystemExit, match="2"):
        cli.main(["bench", "gemoetry"])
    assert "geometry" in capsys.readouterr().err
