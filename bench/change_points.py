"""How often a change point is wrong or missed: recorded runs, one after another, as in bench/accuracy/points.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from common import Bench, Row, main, missing

from orchgate.verdict.change_points import find, smallest_visible

sys.path.insert(0, str(Path(__file__).with_name("accuracy")))
import points
from points_rivals import absent

if TYPE_CHECKING:
    from collections.abc import Iterator

FALSE, FOUND, WITHIN = 0.01, 0.9, 0.05  # streams; steps; seconds of CPU
VISIBLE = 0.05
STEP = "a step of 5 % found by the tenth run after it"


def rows() -> Iterator[Row]:
    given = list(points.streams())
    held_out = [stream for stream in given if not stream.was_tuned_on]
    for name, mine in (("all", given), ("held-out", held_out)):
        what = f"{name} streams of 500 runs of the same work that show a change"
        if not mine:
            yield missing(what, "none are recorded", f"{FALSE:.0%}")
            continue
        hits = sum(bool(find(stream.values)) for stream in mine)
        yield Row(what, points.share(hits, len(mine)).strip(), f"{FALSE:.0%}", hits <= FALSE * len(mine))
    yield from _steps()
    spent = points.spent(find, [stream.values for stream in given[:50]])
    yield Row(
        "CPU of the change points of 500 runs", f"{spent * 1000:.1f} ms", f"{WITHIN * 1000:.0f} ms", spent <= WITHIN
    )


def _steps() -> Iterator[Row]:
    real = [step for step in points.steps() if step.real]
    memory = [step for step in real if step.track.metric == "max_rss_bytes" and step.track.workload == "memory"]
    yield _found(f"{STEP}: more work, peak memory", memory)
    times = [step for step in real if step.track.metric != "max_rss_bytes"]
    yield _found(
        f"{STEP}: more work, CPU and wall time, streams that can show it", [one for one in times if _shows(one)]
    )


def _shows(step: points.Step) -> bool:
    visible = smallest_visible(step.values[: points.BEFORE])
    return visible is not None and visible <= VISIBLE


def _found(what: str, given: list[points.Step]) -> Row:
    if not given:
        return missing(what, "no recorded stream is that quiet", f"{FOUND:.0%}")
    hits = sum(points.is_found(points.ours, step.real) for step in given)
    return Row(what, points.share(hits, len(given)).strip(), f"{FOUND:.0%}", hits >= FOUND * len(given))


def rivals() -> Iterator[Row]:
    for name in absent():
        yield missing(f"change points of {name}", "pip install ruptures apache-otava")
    for line in list(points.rivals())[2:]:
        name, _, figures = line.partition("alarms")
        yield Row(f"change points: {name.strip()}", f"alarms{figures}" if figures else line)


BENCHES = (Bench("change points", rows, limit=True), Bench("change points of others", rivals))

if __name__ == "__main__":
    main(rows)
