"""Change points of recorded runs, so that no change of the method moves them unseen.

The runs are those of bench/accuracy: what they are, and what else they show, stands in its README.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orchgate.verdict.change_points import find, smallest_visible

if TYPE_CHECKING:
    from types import ModuleType

ACCURACY = Path(__file__).parents[1] / "bench" / "accuracy"


@pytest.fixture
def points(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ACCURACY))
    return importlib.import_module("points")


@pytest.mark.slow
def test_one_in_a_hundred_streams_of_the_same_work_shows_a_change(points: Any) -> None:
    streams = list(points.streams())

    showing = [stream.track[:3] for stream in streams if find(stream.values)]

    assert len(streams) > 100
    assert len(showing) <= len(streams) / 100, showing


@pytest.mark.slow
def test_five_percent_more_memory_is_found_within_ten_runs(points: Any) -> None:
    steps = [step for step in points.steps() if step.real and step.track[1:3] == ("memory", "max_rss_bytes")]

    found = [points.is_found(points.ours, step.real) for step in steps]

    assert len(steps) > 10
    assert sum(found) >= 0.9 * len(found)


@pytest.mark.slow
def test_what_a_recorded_stream_would_show_it_shows(points: Any) -> None:
    found = []
    for step in list(points.steps())[::5]:
        visible = smallest_visible(step.values[: points.BEFORE])
        if visible is not None:
            found.append(points.is_found(points.ours, step.times(1 + visible)))

    assert len(found) > 30
    assert sum(found) >= 0.85 * len(found)
