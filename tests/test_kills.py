"""Every verb that writes, killed and starved.

`ORCHGATE_KILLS=1000` for the full number, `nox -s kills` for a table of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fuzz.kills import plan, ways
from fuzz.kills.verbs import BY_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from fuzz.kills.trials import Trial

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ORCHGATE_KILLS", "60"))
TRACED = ("call", "child", "error")


def told(trials: list[Trial]) -> list[str]:
    """What was wrong, and after what."""
    return [f"{one.verb}: {one.way}: {one.what}: {complaint}" for one in trials for complaint in one.complaints]


@pytest.mark.parametrize("way", plan.WAYS[:-1])
@pytest.mark.parametrize("name", BY_NAME)
def test_whatever_disturbs_it_a_second_call_makes_it_whole(name: str, way: str, tmp_path: Path) -> None:
    if way in TRACED and ways.strace() is None:
        pytest.skip("there is no strace that may trace")
    kills = KILLS if way in ("random", "call", "child") else 2 * len(BY_NAME)
    wanted = plan.Wanted(max(1, kills // len(BY_NAME)), kills // len(BY_NAME), 1, (way,))
    trials = list(plan.trials(str(tmp_path), [BY_NAME[name]], wanted))
    assert told(trials) == []


def test_all_of_them_at_once_get_along(tmp_path: Path) -> None:
    assert told(list(plan.trials(str(tmp_path), [], plan.Wanted(0, 0, 1, ("mixed",))))) == []
