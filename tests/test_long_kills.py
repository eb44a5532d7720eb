"""Commands killed a few times each; `make torture` kills fifty times."""

import pytest

from killed import commands, kill_and_compare

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    return commands(tmp_path_factory.mktemp("killed"))


@pytest.mark.parametrize("name", ["prepare", "pretrain", "slow", "finetune", "reproduce"])
def test_what_is_killed_ends_as_what_is_not(name, written, tmp_path):
    outcome = kill_and_compare(written[name], tmp_path, kills=3)
    assert outcome.kills == 3 and not outcome.differing
