"""A few thousand malformed files in every run; `make torture` reads hundreds of thousands."""

from collections import Counter
from random import Random

import pytest

from fuzzing import harness
from fuzzing.mutations import mutated

INPUTS = 3000


def test_malformed_files_are_read_or_refused():
    report = harness.run(INPUTS)
    assert not report.faults, "\n".join(f"{what}\n{trace}" for what, trace, _ in report.faults[:5])
    read, refused = sum(report.read.values()), sum(report.refused.values())
    assert read + refused == INPUTS and refused > INPUTS / 3 and len(report.read | report.refused) > 25


def test_files_are_changed_and_each_in_its_own_way():
    valid = b"ply\nformat ascii 1.0\nelement vertex 12\n0.5 -1 2e3\n"
    found = Counter(mutated(valid, [valid, b"other"], Random(number)) for number in range(500))
    assert found[valid] < 25 and len(found) > 350
    assert found == Counter(mutated(valid, [valid, b"other"], Random(number)) for number in range(500))
    assert all(isinstance(mutated(b"", [b""], Random(number)), bytes) for number in range(100))


@pytest.mark.long
def test_faults_are_seen(monkeypatch):
    monkeypatch.setattr(harness, "STUCK", 20)
    report = harness.run(8, kinds="fuzzing.faulty")
    assert (report.read, report.refused) == (Counter(reads=1), Counter(refuses=1))
    seen = {what.split(":")[0]: what for what, _, _ in report.faults}
    assert set(seen) == {"raises", "ponders", "hangs", "hoards", "dies", "says two lines"}
    assert "KeyError" in seen["raises"] and "longer than 2 s" in seen["ponders"] and "hangs" in seen["hangs"]
    assert (
        "MemoryError" in seen["hoards"] and "died (3)" in seen["dies"] and "more than a line" in seen["says two lines"]
    )
