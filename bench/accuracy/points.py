"""How often is a change point wrong, and how often is one missed? `python bench/accuracy/points.py [PART …]`

Parts: `alarms` on streams without a change, `steps` of 5 % and more, `ranges` of what was found, `curve` by the noise
of simulated streams, `time`, and `rivals` on the same streams, where they are installed
(`pip install ruptures apache-otava`).
"""

from __future__ import annotations

import random
import sys
import time
from collections import defaultdict
from math import exp, isnan, sqrt
from typing import TYPE_CHECKING, NamedTuple

from points_rivals import installed
from run_streams import tracks

from orchgate.verdict.before_after import share_interval
from orchgate.verdict.change_points import find, smallest_visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from run_streams import Track

RUNS = 500
BEFORE = 400  # runs before a step
WITHIN = 10  # after it, and places that it may be told wrong by
EVERY = 50  # runs between two steps that are tried
LOOKS = (8, 10)  # runs after a step when a stream is looked at
VISIBLE = (0.05, 0.1, 0.2, 0.5)
CHANGES = (1.05, 1.1, 1.2, 1.5)
SIMULATED = 200
SEED = 20261129


class Stream(NamedTuple):
    track: Track
    values: list[float]

    @property
    def was_tuned_on(self) -> bool:
        return was_tuned_on(self.track)


class Step(NamedTuple):
    """A stream that ends ten runs after a place; `real` are runs of more work from there on, if there were any."""

    track: Track
    values: list[float]
    real: list[float]

    def times(self, change: float) -> list[float]:
        return [value * (change if run >= BEFORE else 1) for run, value in enumerate(self.values)]


def was_tuned_on(track: Track) -> bool:
    """Whether a constant was chosen with a look at it."""
    return track.recording.endswith("pairs") or track.recording == "shared 1"


def streams(runs: int = RUNS) -> Iterator[Stream]:
    """Runs of the same work in a row, none in two streams; those of more work are as good, where they are in a row."""
    for track in tracks():
        for arm in (track.base, track.head):
            if not any(map(isnan, arm)):
                for start in range(0, len(arm) - runs + 1, runs):
                    yield Stream(track, arm[start : start + runs])


def steps() -> Iterator[Step]:
    for track in tracks():
        for place in range(BEFORE, len(track.base) - WITHIN + 1, EVERY):
            before, head = track.base[place - BEFORE : place], track.head[place : place + WITHIN]
            real = [] if any(map(isnan, head)) or isnan(track.head[place]) else [*before, *head]
            yield Step(track, track.base[place - BEFORE : place + WITHIN], real)


def ours(values: Sequence[float]) -> list[int]:
    return [one.index for one in find(values)]


def is_found(finder: Callable[[Sequence[float]], Iterable[int]], values: Sequence[float]) -> bool:
    """Whether a step is, by the tenth run after it."""
    return any(any(abs(place - BEFORE) <= WITHIN for place in finder(values[: BEFORE + runs])) for runs in LOOKS)


def share(hits: int, total: int) -> str:
    low, high = share_interval(hits, total)
    return f"{hits:>5} of {total:>5} {hits / total if total else 0:7.1%} ({low:.1%}-{high:.1%})"


def ranges() -> Iterator[str]:
    yield "changes of 5 % to 50 % that were found, ten runs after them and 60: does the range hold the truth?"
    draw = random.Random(SEED)
    for name, of in (("recorded", _recorded_steps()), ("normal, 1 %", _simulated_steps(draw))):
        by: dict[int, list[tuple[bool, int]]] = defaultdict(list)
        for values in of:
            for runs in (WITHIN, 60):
                near = [one for one in find(values[: BEFORE + runs]) if abs(one.index - BEFORE) <= WITHIN]
                by[runs] += [(one.first <= BEFORE <= one.last, one.last - one.first + 1) for one in near]
        for runs, found in sorted(by.items()):
            widths = sorted(width for _, width in found)
            held = share(sum(holds for holds, _ in found), len(found))
            yield f"{name:<12} after {runs} runs: {held}, median width {widths[len(widths) // 2]} runs"


def _recorded_steps() -> Iterator[list[float]]:
    for track in tracks():
        for place in range(BEFORE, len(track.base) - 60, EVERY):
            values = track.base[place - BEFORE : place + 60]
            for change in CHANGES:
                yield [value * (change if run >= BEFORE else 1) for run, value in enumerate(values)]


def _simulated_steps(draw: random.Random) -> Iterator[list[float]]:
    for _ in range(SIMULATED):
        yield [exp(draw.gauss(0, 0.01)) * (1.05 if run >= BEFORE else 1) for run in range(BEFORE + 60)]


def alarms() -> Iterator[str]:
    yield "streams of 500 runs without a change: how many show one; and when looked at after every tenth run"
    by: dict[tuple[str, str, str], list[tuple[bool, bool]]] = defaultdict(list)
    for stream in streams():
        half = "tuned on" if stream.was_tuned_on else "held out"
        ever = any(find(stream.values[:runs]) for runs in range(50, RUNS + 1, 10))
        for recording in (stream.track.recording, "all"):
            by[half, recording, stream.track.metric].append((bool(find(stream.values)), ever))
    for (half, recording, metric), found in sorted(by.items()):
        at_end, looks = (share(sum(column), len(found)) for column in zip(*found, strict=True))
        yield f"{half:<9} {recording:<12} {metric:<14} {at_end}   ever {looks}"


def _class(visible: float | None) -> str:
    if visible is None:
        return "unknown"
    return next((f"to {limit:4.0%}" for limit in VISIBLE if visible <= limit), "more")


def found_steps() -> Iterator[str]:
    yield "steps found by the tenth run after them, by what smallest_visible says of the 400 runs before"
    by: dict[tuple[str, str, str], list[list[bool]]] = defaultdict(lambda: [[] for _ in range(len(CHANGES) + 2)])
    for step in steps():
        visible = smallest_visible(step.values[:BEFORE])
        half = "tuned on" if was_tuned_on(step.track) else "held out"
        row = by[half, step.track.metric, _class(visible)]
        if step.real and (step.track.metric != "max_rss_bytes" or step.track.workload == "memory"):
            row[0].append(is_found(ours, step.real))
        for column, change in zip(row[1:], (*CHANGES, 1 + (visible or 0)), strict=True):
            column.append(is_found(ours, step.times(change)))
    yield "                                     5 % more work                             "
    for (half, metric, visible_class), row in sorted(by.items()):
        cells = [f"{sum(column) / len(column) if column else 0:5.0%}" for column in row[1:]]
        yield f"{half:<9} {metric:<14} {visible_class:<8} {share(sum(row[0]), len(row[0]))}  x {' '.join(cells)}"


def curve() -> Iterator[str]:
    yield "simulated: a step of 5 % after 400 runs, found by the tenth after it, by how far single runs scatter"
    draw = random.Random(SEED)
    kinds: dict[str, Callable[[float], float]] = {
        "normal": lambda spread: exp(draw.gauss(0, spread)),
        "exponential": lambda spread: 1 + draw.expovariate(1 / spread),
    }
    for kind, one in kinds.items():
        for spread in (0.005, 0.01, 0.0125, 0.015, 0.02, 0.03, 0.05):
            found = 0
            for _ in range(SIMULATED):
                values = [one(spread) * (1.05 if run >= BEFORE else 1) for run in range(BEFORE + WITHIN)]
                found += is_found(ours, values)
            yield f"{kind:<12} {spread:5.2%} {share(found, SIMULATED)}"
    for name, stream in models(draw).items():
        hits = sum(bool(find(stream())) for _ in range(SIMULATED))
        yield f"no change, {name:<24} {share(hits, SIMULATED)}"


def models(draw: random.Random) -> dict[str, Callable[[], list[float]]]:
    """Streams of 500 runs without a change, each with 1 % of noise."""

    def autocorrelated(keep: float) -> list[float]:
        level, found = 0.0, []
        for _ in range(RUNS):
            level = keep * level + draw.gauss(0, 0.01 * sqrt(1 - keep * keep))
            found.append(exp(level))
        return found

    def drifting(size: float) -> list[float]:
        level, found = 0.0, []
        for _ in range(RUNS):
            level += draw.gauss(0, size)
            found.append(exp(level + draw.gauss(0, 0.01)))
        return found

    return {
        "normal": lambda: [exp(draw.gauss(0, 0.01)) for _ in range(RUNS)],
        "t of 3 degrees": lambda: [
            exp(0.01 * draw.gauss(0, 1) / sqrt(draw.gammavariate(1.5, 2 / 3))) for _ in range(RUNS)
        ],
        "exponential": lambda: [1 + draw.expovariate(100) for _ in range(RUNS)],
        "AR(1) of 0.5": lambda: autocorrelated(0.5),
        "AR(1) of 0.9": lambda: autocorrelated(0.9),
        "random walk by 0.2 %": lambda: drifting(0.002),
        "drift by 30 %": lambda: [exp(draw.gauss(0, 0.01)) * (1 + 0.3 * run / RUNS) for run in range(RUNS)],
    }


def spent(finder: Callable[[Sequence[float]], object], given: Sequence[Sequence[float]]) -> float:
    """CPU seconds a stream."""
    start = time.process_time()
    for values in given:
        finder(values)
    return (time.process_time() - start) / len(given)


def times() -> Iterator[str]:
    given = [stream.values for stream in streams()][:100]
    yield f"CPU of 500 runs: {spent(find, given) * 1000:.1f} ms"
    draw = random.Random(SEED)
    for runs in (1_000, 10_000, 100_000):
        yield f"CPU of {runs:,} runs: {spent(find, [[exp(draw.gauss(0, 0.05)) for _ in range(runs)]]) * 1000:,.0f} ms"


def rivals() -> Iterator[str]:
    yield "the same streams (CPU and wall time) by other methods: their own settings, then the mildest at which none of"
    yield "every second tuned-on stream shows a change; false alarms of all streams, steps found, and what it takes"
    given = [stream for stream in streams() if stream.track.metric != "max_rss_bytes"]
    made = list(steps())
    tried = (
        [step for step in made if step.track.metric != "max_rss_bytes"][::6],
        [step for step in made if step.track.metric == "max_rss_bytes" and step.track.workload == "memory"],
    )
    yield _rival_row("ours", lambda values, _: ours(values), 0.0, given, tried)
    for rival in installed():
        yield _rival_row(f"{rival.name} {rival.settings[0]:g}", rival.find, rival.settings[0], given, tried)
        strict = next((one for one in rival.settings if not _tuned_alarms(rival.find, one, given)), None)
        if strict is None:
            yield f"{rival.name}: none of {rival.settings} is strict enough"
        elif strict != rival.settings[0]:
            yield _rival_row(f"{rival.name} {strict:g}", rival.find, strict, given, tried)


def _tuned_alarms(
    finder: Callable[[Sequence[float], float], Iterable[int]], setting: float, given: list[Stream]
) -> int:
    tuned = [one for one in given if one.was_tuned_on][::2]
    return sum(bool(list(finder(one.values, setting))) for one in tuned)


def _rival_row(
    name: str,
    finder: Callable[[Sequence[float], float], Iterable[int]],
    setting: float,
    given: list[Stream],
    tried: tuple[list[Step], list[Step]],
) -> str:
    steps_of_time, steps_of_memory = tried

    def one(values: Sequence[float]) -> list[int]:
        return list(finder(values, setting))

    tuned = [bool(one(stream.values)) for stream in given if stream.was_tuned_on]
    held = [bool(one(stream.values)) for stream in given if not stream.was_tuned_on]
    cells = [
        sum(is_found(one, step.times(change)) for step in steps_of_time) / len(steps_of_time) for change in CHANGES
    ]
    real = [is_found(one, step.real) for step in steps_of_memory if step.real]
    cpu = spent(one, [stream.values for stream in given[:10]])
    return (
        f"{name:<52} alarms {sum(tuned):>3}/{len(tuned)} {sum(held):>3}/{len(held)}  steps x"
        f" {' '.join(f'{cell:4.0%}' for cell in cells)}  5 % more memory {sum(real)}/{len(real)}  {cpu * 1000:6.1f} ms"
    )


PARTS: dict[str, Callable[[], Iterator[str]]] = {
    "alarms": alarms,
    "steps": found_steps,
    "ranges": ranges,
    "curve": curve,
    "time": times,
    "rivals": rivals,
}

if __name__ == "__main__":
    for part in sys.argv[1:] or PARTS:
        for line in PARTS[part]():
            print(line, flush=True)
        print()
