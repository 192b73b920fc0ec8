"""Every verb that writes, killed and starved.

`ORCHGATE_KILLS=1000` for the full number, `nox -s kills` for a table of it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from fuzz.kills import plan
from fuzz.kills.verbs import BY_NAME, VERBS, Room, build

if TYPE_CHECKING:
    from pathlib import Path

    from fuzz.kills.trials import Trial

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ORCHGATE_KILLS", "30"))
FEW = len(VERBS) * 10  # from here on everything is tried, not every thirtieth thing


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Room:
    """A repository with recorded runs and a remote, which all trials start from copies of."""
    return build(str(tmp_path_factory.mktemp("kills") / "world"))


def told(*trials: Trial) -> list[str]:
    """What was wrong, and after what."""
    return [f"{one.verb}: {one.way}: {one.what}: {complaint}" for one in trials for complaint in one.complaints]


@pytest.mark.parametrize("name", BY_NAME)
def test_whatever_disturbs_it_a_second_call_makes_it_whole(name: str, world: Room, tmp_path: Path) -> None:
    share = max(1, KILLS // len(VERBS))
    wanted = plan.Wanted(share, max(1, share // 2), every=30 if KILLS < FEW else 1)
    tried = [one() for one in plan.trials(world, str(tmp_path), BY_NAME[name], wanted)]
    assert told(*filter(None, tried)) == []


def test_all_of_them_at_once_get_along(world: Room, tmp_path: Path) -> None:
    assert told(plan.mixed(world, str(tmp_path))) == []
