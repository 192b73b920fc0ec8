"""Where the level of a recorded stream changed for good: one value a run, oldest first.

Runs of a history lie hours apart, on machines whose level drifts and jumps by itself. Neighbouring values resemble each
other, so that a test which takes them for independent finds changes everywhere. Here the stream itself says how far it
moves without a reason: at every place the level of the runs after it is compared with that of the runs before, and a
change point is one where they lie nearly twice as far apart as at any other place, beyond what the noise on the spot
explains, and by enough to matter. A slow drift moves all places alike, so it is none.

Where a stream moves no further than runs would that do not depend on each other, their noise is all that a change has
to exceed, and a smaller one is seen.

A level is the mean of the faster half of some runs, without the very fastest: what a machine can do shows in them, and
what its neighbours did in the slow ones. Values count by their logarithms, and in parts of the middle one where some
are not above zero. bench/accuracy/points.py says how often all this is wrong.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from math import expm1, inf, isfinite, log, log1p, sqrt

from orchgate.lib.text import median
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

SMALLEST = 0.02  # a fraction: what changes by less does not matter
CHUNK = 500  # runs that are judged together: what a stream did earlier says little about how it moves now
REACH = 60  # runs on either side of a change that say where it is and how large
_USUAL = 3.5  # times what nine tenths of the places stay below
_OTHERS = 1.8  # times the furthest of the others
_FEW = 2.5  # what is asked for more, by the number of windows there are to compare with
_LEAST = 1.0  # windows, below which nothing is said
_MANY = 4  # changes in a chunk; with twice as many, twice as much is asked for
_MOST = 10
_LIKELY = 4.0  # logarithms of a likelihood
_SURE = 5.5  # standard errors, of runs that do not depend on each other
_ALONE = 1.5  # standard errors that moves have, beyond which runs do depend on each other
_AT_MOST = 1.7  # the same, by the window that sees most of it
_SCATTER = 0.04  # of single runs: what scatters by more is from a machine whose level moves by itself
_BLOCK = 20  # runs that say how far single ones scatter
_LONE = 3  # changes, of runs that do not depend on each other
_FAR = 1e6  # times the middle value: further away is as far
_DEVIATION = 1.2533  # standard deviations in a mean deviation, of normal noise


class ChangePoint(NamedTuple):
    """`index` is the first run after the change; it lies in [first, last]. Medians of up to 60 runs on either side.

    `confidence` is the share of streams without any change that show none as clear as this.
    """

    index: int  # type: ignore[assignment]  # nobody asks a change point where it holds a value
    first: int
    last: int
    before: float
    after: float
    confidence: float

    @property
    def change(self) -> float:
        """As a fraction of what was before."""
        return self.after / self.before - 1 if self.before else inf


class _Window(NamedTuple):
    """How many runs after a place are compared with how many before it, and how far beyond the noise of both."""

    after: int
    before: int
    sure: float  # standard errors


class _Noise(NamedTuple):
    """How far a stream moves by a window: `error` is what noise explains, `usual` how often that much all others are.

    `found` are the places beyond it.
    """

    moves: Sequence[float]
    window: _Window
    error: float
    usual: float
    found: Sequence[int]


class _Jump(NamedTuple):
    place: int
    size: float
    clear: float  # times what was asked for
    window: _Window


_TEN = _Window(10, 30, 6.5)
_WINDOWS = (_Window(8, 16, 8.0), _TEN, _Window(20, 40, 10.0), _Window(40, 80, 8.0))
_QUIET = (_TEN, _Window(10, 90, _SURE), *_WINDOWS[2:])  # of runs that do not depend on each other


def find(values: Sequence[float | None], smallest: float = SMALLEST) -> tuple[ChangePoint, ...]:
    """All of them, oldest first; what is no number counts as if there had been no such run."""
    places = [place for place, value in enumerate(values) if value is not None and isfinite(value)]
    known = [float(value) for value in values if value is not None and isfinite(value)]
    levels = _levels(known)
    jumps = _distinct([jump for start in _starts(len(levels)) for jump in _jumps(levels, start, log1p(smallest))])
    located = list(_located(levels, [jump.place for jump in jumps]))
    ends = [0, *[index for _, index, _ in located], len(known)]
    return tuple(
        ChangePoint(
            places[index],
            places[first],
            places[last],
            median(known[max(start, index - REACH) : index]),
            median(known[index : min(end, index + REACH)]),
            _confidence(jump.clear),
        )
        for jump, (first, index, last), start, end in zip(jumps, located, ends, ends[2:], strict=False)
    )


def smallest_visible(values: Sequence[float | None], smallest: float = SMALLEST) -> float | None:
    """The change, as a fraction, that would most likely be found within ten runs of these, if not a smaller one.

    None for too few runs. It follows from how far this stream moves without a reason, and holds nine times in ten.
    """
    levels = _levels([float(value) for value in values if value is not None and isfinite(value)])[-CHUNK:]
    moves = _moves(levels, _TEN)
    others = [True] * len(moves)
    for jump in _distinct(list(_jumps(levels, 0, log1p(smallest)))):
        low, high = max(jump.place - _TEN.before - _TEN.after, 0), jump.place
        others[low:high] = [False] * len(others[low:high])
    usual = [abs(move) for move, other in zip(moves, others, strict=True) if other]
    need = _needed(usual, _TEN, 1)
    if need == inf:
        return None
    noise = sorted(_error(levels, place, _TEN) for place in range(_TEN.before, len(levels) - _TEN.after + 1, 5))
    need = max(need, _TEN.sure * _mostly(noise), log1p(smallest))
    return expm1(min(need + _mostly(usual), 700.0))


def _mostly(ordered: Sequence[float]) -> float:
    return ordered[len(ordered) * 4 // 5]


def _levels(known: Sequence[float]) -> list[float]:
    if not known or min(known) > 0:
        return [log(value) for value in known]
    middle = median(map(abs, known)) or max(map(abs, known))
    return [max(min(value / middle, _FAR), -_FAR) for value in known] if middle else []


def _starts(runs: int) -> Iterator[int]:
    """Where chunks begin: half of each lies in the next one, and the last one ends with the stream."""
    yield from range(0, max(runs - CHUNK, 0), CHUNK // 2)
    yield max(runs - CHUNK, 0)


def _jumps(levels: Sequence[float], start: int, least: float) -> Iterator[_Jump]:
    chunk = levels[start : start + CHUNK]
    moves = {window: _moves(chunk, window) for window in {*_WINDOWS, *_QUIET}}
    found = [jump for window in _WINDOWS for jump in _clear(chunk, moves[window], window, least)]
    for jump in (*found, *_beyond_noise(chunk, [(moves[window], window) for window in _QUIET], least)):
        yield jump._replace(place=jump.place + start)


def _clear(levels: Sequence[float], moves: Sequence[float], window: _Window, least: float) -> list[_Jump]:
    """The furthest places of a chunk, as many as stand out from all the others."""
    others = [True] * len(moves)
    found: list[_Jump] = []
    clear: list[_Jump] = []
    for offset in _peaks(levels, moves, window, least):
        found.append(_Jump(offset + window.before, moves[offset], 0.0, window))
        low, high = max(offset - window.after, 0), offset + window.before
        others[low:high] = [False] * len(others[low:high])
        need = _needed([abs(move) for move, other in zip(moves, others, strict=True) if other], window, len(found))
        ratio = abs(moves[offset]) / max(need, least)
        if ratio >= 1:
            clear = [jump._replace(clear=max(ratio, jump.clear)) for jump in found]
    return clear


def _beyond_noise(
    levels: Sequence[float], moves: Iterable[tuple[Sequence[float], _Window]], least: float
) -> Iterator[_Jump]:
    """The places of a chunk that noise does not explain, where it explains all others."""
    scatter = _scatter(levels)
    if not 0 < scatter <= _SCATTER:
        return
    seen = [_noise(some, window, scatter) for some, window in moves if some]
    if any(one.usual > _AT_MOST for one in seen if one.usual < inf) or any(len(one.found) > _LONE for one in seen):
        return
    for one in seen:
        for offset in one.found if one.usual <= _ALONE else ():
            place = offset + one.window.before
            error = max(one.error, _error(levels, place, one.window))
            ratio = abs(one.moves[offset]) / max(_SURE * max(one.usual, 1.0) * error, least)
            if ratio >= 1:
                # Noise of this kind reaches that far seldom, and further far less often.
                yield _Jump(place, one.moves[offset], ratio**3, one.window)


def _scatter(levels: Sequence[float]) -> float:
    """How far single runs do from their neighbours."""
    blocks = [_deviation(levels[start : start + _BLOCK]) for start in range(0, len(levels) - _BLOCK + 1, _BLOCK)]
    return median(blocks) if blocks else 0.0


def _noise(moves: Sequence[float], window: _Window, scatter: float) -> _Noise:
    """Endless where few other places are left to say how far they move."""
    error = scatter * sqrt(1 / window.after + 1 / window.before)
    others = [True] * len(moves)
    found: list[int] = []
    for size, offset in sorted((-abs(move), offset) for offset, move in enumerate(moves)):
        if -size < _SURE * error or len(found) > _LONE:
            break
        if others[offset]:
            low, high = max(offset - window.after, 0), offset + window.before
            others[low:high] = [False] * len(others[low:high])
            found.append(offset)
    left = [move for move, other in zip(moves, others, strict=True) if other]
    windows = len(left) / (window.after + window.before / 4)
    if windows < 2 * _LEAST:
        return _Noise(moves, window, error, inf, found)
    usual = sqrt(sum([move * move for move in left]) / len(left)) / error * (1 + 0.5 / windows)
    return _Noise(moves, window, error, usual, found)


def _moves(levels: Sequence[float], window: _Window) -> list[float]:
    """The level after each place less that before it; the first place has just enough runs before it."""
    if len(levels) < window.before + window.after:
        return []
    after, before = _levels_of(levels, window.after), _levels_of(levels, window.before)
    return [a - b for a, b in zip(after[window.before :], before, strict=False)]


def _levels_of(levels: Sequence[float], width: int) -> list[float]:
    """The level of each `width` values in a row: the mean of their faster half, without the very fastest."""
    ordered = sorted(levels[:width])
    low, high = width // 8, width // 2
    found = [sum(ordered[low:high])]
    for gone, new in zip(levels, levels[width:], strict=False):
        del ordered[bisect_left(ordered, gone)]
        insort(ordered, new)
        found.append(sum(ordered[low:high]))
    return [total / (high - low) for total in found]


def _peaks(levels: Sequence[float], moves: Sequence[float], window: _Window, least: float) -> Iterator[int]:
    """The furthest moves, furthest first, one for each change that the noise on the spot does not explain."""
    free = [True] * len(moves)
    found = 0
    for size, offset in sorted(((-abs(move), offset) for offset, move in enumerate(moves)))[:CHUNK]:
        if -size < least or found == _MOST:
            return
        if free[offset] and -size >= window.sure * _error(levels, offset + window.before, window):
            low, high = max(offset - window.before, 0), offset + window.before
            free[low:high] = [False] * len(free[low:high])
            found += 1
            yield offset


def _error(levels: Sequence[float], place: int, window: _Window) -> float:
    """The standard error of a move by the scatter on both sides, as if neighbours were independent."""
    return sqrt(
        _deviation(levels[place : place + window.after]) ** 2 / window.after
        + _deviation(levels[place - window.before : place]) ** 2 / window.before
    )


def _deviation(levels: Sequence[float]) -> float:
    """How far the faster half scatters; what the slower one does is not in the level either."""
    middle = median(levels)
    return _DEVIATION * 2 * sum([middle - level for level in levels if level < middle]) / (len(levels) - 1)


def _needed(others: list[float], window: _Window, changes: int) -> float:
    """How far a move has to reach beyond those of the other places."""
    windows = len(others) / (window.after + window.before)
    if windows < _LEAST:
        return inf
    others.sort()
    furthest = max(_USUAL * others[len(others) * 9 // 10], _OTHERS * others[-1])
    return furthest * (1 + _FEW / windows + (2 / windows) ** 2) * max(1.0, changes / _MANY)


def _distinct(jumps: Sequence[_Jump]) -> list[_Jump]:
    """The clearest one of those that see the same change."""
    chosen: list[_Jump] = []
    for jump in sorted(jumps, key=lambda one: (-one.clear, one.place)):
        if all(abs(jump.place - other.place) >= max(jump.window.after, other.window.after) for other in chosen):
            chosen.append(jump)
    return sorted(chosen)


def _located(levels: Sequence[float], places: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Of each change the first, the likeliest and the last place, nearer to it than to the other ones."""
    ends = [0, *places, len(levels)]
    for place, start, end in zip(places, ends, ends[2:], strict=False):
        low, high = max(start, place - REACH), min(end, place + REACH)
        before, after = median(levels[low:place]), median(levels[place:high])
        low, high = place - (place - low) // 2, place + (high - place) // 2
        first, index, last = _likely(levels[low:high], before, after)
        yield low + first, low + index, low + last


def _likely(levels: Sequence[float], before: float, after: float) -> tuple[int, int, int]:
    """How many values belong to what was before: at least, likely and at most, by their distances from both levels."""
    costs = [0.0]
    for level in levels:
        costs.append(costs[-1] + abs(level - before) - abs(level - after))
    inner = costs[1:-1]  # a value at least on either side
    least = min(inner)
    number = inner.index(least) + 1
    spread = sum([abs(level - before) for level in levels[:number]])
    spread += sum([abs(level - after) for level in levels[number:]])
    likely = [number for number, cost in enumerate(inner, 1) if cost - least <= _LIKELY * spread / len(levels)]
    return likely[0], number, likely[-1]


def _confidence(clear: float) -> float:
    return 1 - 0.01 * clear**-4
