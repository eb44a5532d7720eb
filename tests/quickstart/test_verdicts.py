"""When a task counts as won."""

import pytest

from pointdistill.quickstart.results import with_verdicts
from pointdistill.report.schema import Row, TaskResult

SCRATCH = [50.0, 52.0, 48.0, 51.0, 49.0]


def task(gains_on_scratch, gains_on_permuted, no_learning=5.0):
    """A task whose distilled runs are so much better than the controls, seed by seed."""
    distilled = [one + gain for one, gain in zip(SCRATCH, gains_on_scratch, strict=True)]
    permuted = [one - gain for one, gain in zip(distilled, gains_on_permuted, strict=True)]
    figures = {"scratch": SCRATCH, "distilled": distilled, "permuted": permuted}
    rows = [Row("fine-tuning", "few", init, {"accuracy": values}, []) for init, values in figures.items()]
    return TaskResult("accuracy", "%", "5 %", "few", list(range(5)), SCRATCH, distilled, rows, no_learning=no_learning)


CLEAR, DOUBTFUL = [5.0, 5.2, 4.9, 5.1, 4.8], [5.0, -4.0, 6.0, -3.0, 2.0]
BEHIND = [-gain for gain in CLEAR]


@pytest.mark.parametrize(
    ("against_scratch", "against_permuted", "no_learning", "won"),
    [
        (CLEAR, CLEAR, 5.0, True),
        (DOUBTFUL, CLEAR, 5.0, False),
        (CLEAR, DOUBTFUL, 5.0, False),
        (BEHIND, CLEAR, 5.0, False),  # significant, but the wrong way
        (CLEAR, CLEAR, 99.0, False),  # an answer without learning does better
    ],
)
def test_won_takes_both_controls_and_the_no_learning_baseline(against_scratch, against_permuted, no_learning, won):
    judged = with_verdicts({"one": task(against_scratch, against_permuted, no_learning)})["one"]
    assert judged.won is won
    assert set(judged.significance) == {"scratch", "permuted"}


def test_more_tasks_ask_for_more_evidence():
    fair = [1.0, 0.2, 1.4, 0.1, 0.9]
    alone = with_verdicts({"a": task(fair, CLEAR)})
    among_noise = with_verdicts({name: task(fair, CLEAR) for name in "abcd"})
    assert alone["a"].significance["scratch"].p == among_noise["a"].significance["scratch"].p
    assert alone["a"].won
    assert not among_noise["a"].won
    assert "Holm" in among_noise["a"].note


def test_pairs_are_what_is_tested():
    """A gain far smaller than the spread between seeds counts where each seed shows it."""
    found = with_verdicts({"one": task([0.5, 0.6, 0.4, 0.5, 0.6], CLEAR)})["one"].significance["scratch"]
    assert found.p < 0.01
    assert found.low < found.difference < found.high
