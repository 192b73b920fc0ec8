"""Text and numbers of runs as other programs take them: whatever a run recorded, they can read the file."""

from __future__ import annotations

import json
from functools import lru_cache
from math import isfinite

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._document import MOST, plain

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from orchgate.runs.run import StageRun


@lru_cache(maxsize=1)
def _encoder() -> json.JSONEncoder:
    return json.JSONEncoder(ensure_ascii=True, separators=(",", ":"), allow_nan=False)


def json_of(value: Any) -> str:
    """Strict JSON on one line, in ASCII: no NaN, no infinity, no half of a character."""
    try:
        text = _encoder().encode(value)
    except ValueError:
        return _encoder().encode(plain(value))
    return _encoder().encode(plain(value)) if "\\ud" in text else text


def is_number(value: object) -> bool:
    """Whether every reader knows what a number is."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isfinite(value) and -MOST <= value < MOST


def seconds(stage: StageRun) -> float:
    """How long a stage took; 0 where that is not known, or cannot be."""
    wall = stage.usage.wall_seconds if stage.usage else None
    if wall is None and stage.started_at and stage.completed_at:
        wall = (stage.completed_at - stage.started_at).total_seconds()
    return wall if wall is not None and is_number(wall) and wall > 0 else 0.0


def numbers(values: Mapping[str, object]) -> dict[str, float]:
    return {name: value for name, value in values.items() if is_number(value) and isinstance(value, int | float)}
