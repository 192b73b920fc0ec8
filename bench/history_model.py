"""A year of 1,000 machines: who pushes how many runs when, and what compaction makes of the parts.

800 CI runners of five classes and 200 laptops of twelve, 20 repositories whose sizes fall as 1, 1/2, 1/3 …; a CI job
pushes once, at its end, a laptop once a day. What is drawn is a hash of a number, so that each time finds the same; of
one number, as DuckDB's hashes of two go together.
Nothing is measured here: `history_simulation` does, and uses this.
"""

from __future__ import annotations

from collections import Counter
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    Connection = Any  # of DuckDB, which brings no types for what is used here

YEAR, MONTH, DAY = 8760, 730, 24  # hours
RUNNERS, LAPTOPS, REPOSITORIES = 800, 200, 20
RUNS = 100_000_000  # of the year
JOB, MOST = 5, 40  # runs of a job: the mean, of what is geometric, and the most
LAPTOP_DAY = 20  # runs of a working day
CI_CLASSES = (40, 25, 20, 10, 5)  # hundredths of all jobs
LAPTOP_CLASSES = 12
LATE, SKIPPED = 0.01, 0.05  # jobs whose push comes up to five days later; days that a laptop pushes with the next one
AGAIN, AGAIN_WITH_MORE = 0.02, 0.002  # pushes that are repeated as they were, and with one run more
WRONG_CLOCK = 200  # each 200th machine: -60, -30, 0, 30 and 60 hours off
RUN_SECONDS = 180
FULL = 50_000  # runs of a part that others were joined to
# Load by the hour of the day, and by the day of the week.
HOURS = (2, 2, 2, 2, 2, 3, 4, 6, 9, 10, 10, 10, 8, 10, 10, 10, 9, 8, 6, 5, 4, 3, 3, 2)
DAYS = (10, 10, 10, 10, 9, 3, 2)
SHARES = tuple(1 / rank for rank in range(1, REPOSITORIES + 1))

_PUSHES = """
CREATE MACRO drawn(id, salt) AS hash(64 * id::BIGINT + salt) / 18446744073709551616.0;
CREATE TABLE pushes AS
    SELECT id, hour + drawn(id, 0) AS began,
        least({MOST}, 1 + floor(ln(1 - drawn(id, 1)) / ln(1 - 1 / {JOB})))::INT AS runs,
        {repository} AS repository, {ci_class} AS class, floor(drawn(id, 6) * {RUNNERS})::INT AS machine,
        CASE WHEN drawn(id, 4) < {LATE} THEN 120 * drawn(id, 5) ELSE 0 END AS waits
    FROM (SELECT row_number() OVER () AS id, hour FROM (SELECT hour, unnest(range(jobs)) FROM hours))
UNION ALL
    SELECT id, began, {LAPTOP_DAY} * CASE WHEN skipped_before THEN 2 ELSE 1 END, {laptop_repository},
        {ci_classes} + machine % {LAPTOP_CLASSES}, {RUNNERS} + machine, 0
    FROM (
        SELECT *, lag(skipped, 1, false) OVER (PARTITION BY machine ORDER BY id) AS skipped_before
        FROM (
            SELECT 1_000_000_000 + machine * 400 + day AS id, machine, day * 24 + 8 + 9 * drawn(id, 0) AS began,
                drawn(id, 4) < {SKIPPED} AS skipped
            FROM (SELECT range::INT AS machine FROM range({LAPTOPS})), (SELECT range::INT AS day FROM range(365))
            WHERE day % 7 < 5
        )
    )
    WHERE NOT skipped
"""
# A push makes a part of each month that its runs are of; those of the future are not sent. One that is repeated makes
# the same name, and no part; with a run more it makes one that has the others a second time.
_PARTS = """
CREATE TABLE parts AS
WITH sent AS (
    SELECT *, floor(said / {MONTH})::INT AS month, floor(began + runs * {RUN_SECONDS} / 3600 + waits)::INT AS hour,
        least(runs, ceil(({MONTH} - said % {MONTH}) * 3600 / {RUN_SECONDS}))::INT AS first
    FROM (
        SELECT *, began + CASE WHEN machine % {WRONG_CLOCK} = 0 THEN 30 * (machine // {WRONG_CLOCK} - 2) ELSE 0 END
            AS said
        FROM pushes
    )
    WHERE said <= began + waits + {ahead} AND said >= 0
)
    SELECT repository, class, month, hour, first AS runs, 0 AS doubles FROM sent
UNION ALL
    SELECT repository, class, month + 1, hour, runs - first, 0 FROM sent WHERE first < runs
UNION ALL
    SELECT repository, class, month, hour, first + 1, first FROM sent WHERE drawn(id, 7) < {AGAIN_WITH_MORE}
"""


class Pushed(NamedTuple):
    """What arrives at one prefix and class of machines in an hour: parts by the number of their runs."""

    hour: int
    parts: Counter[int]
    doubles: int


class Group(NamedTuple):
    """What may be joined into one part."""

    repository: int
    machine_class: int
    month: int


class Year(NamedTuple):
    groups: dict[Group, list[Pushed]]
    pushes: int
    runs: int  # recorded
    kept_out: int  # of the future

    @property
    def parts(self) -> int:
        return sum(sum(pushed.parts.values()) for group in self.groups.values() for pushed in group)


def year(connection: Connection, share: float = 1.0) -> Year:
    """The model; `share` makes it smaller."""
    names = {name: value for name, value in globals().items() if name.isupper() and isinstance(value, int | float)}
    weights = [HOURS[hour % 24] * DAYS[hour // 24 % 7] for hour in range(YEAR)]
    laptops = LAPTOPS * LAPTOP_DAY * 365 * 5 / 7
    scale = share * (RUNS - laptops) / JOB / sum(weights)
    connection.execute("CREATE OR REPLACE TABLE hours (hour INT, jobs INT)")
    connection.execute("INSERT INTO hours SELECT unnest(?), unnest(?)", [list(range(YEAR)), _rounded(weights, scale)])
    words = {
        "repository": _picked("drawn(id, 2)", SHARES),
        "laptop_repository": _picked("drawn(machine, 2)", SHARES),
        "ci_class": _picked("drawn(id, 3)", CI_CLASSES),
        "ci_classes": len(CI_CLASSES),
        "ahead": 300 / 3600,
    }
    for statement in (_PUSHES, _PARTS):
        connection.execute(statement.format(**names, **words))
    pushes, runs = connection.execute("SELECT count(*), sum(runs) FROM pushes").fetchone()
    return Year(_groups(connection), pushes, runs, runs - _once(connection))


def _rounded(weights: Sequence[float], scale: float) -> list[int]:
    """Whole numbers whose sum is as near as it can be, at each place."""
    sums = [round(scale * total) for total in accumulate(weights)]
    return [one - other for one, other in zip(sums, [0, *sums], strict=False)]


def _picked(drawn: str, weights: Sequence[float]) -> str:
    """SQL for the number of one of several things, as often as their weights say."""
    ends = [total / sum(weights) for total in accumulate(weights)]
    cases = " ".join(f"WHEN {drawn} < {end} THEN {at}" for at, end in enumerate(ends[:-1]))
    return f"CASE {cases} ELSE {len(ends) - 1} END"


def _once(connection: Connection) -> int:
    found: int = connection.execute("SELECT sum(runs - doubles - (doubles > 0)::INT) FROM parts").fetchone()[0]
    return found


def _groups(connection: Connection) -> dict[Group, list[Pushed]]:
    rows = connection.execute(
        "SELECT repository, class, month, hour, list(runs), list(number), sum(doubles) FROM ("
        "SELECT repository, class, month, hour, runs, count(*) AS number, sum(doubles) AS doubles "
        "FROM parts GROUP BY ALL) GROUP BY ALL ORDER BY ALL"
    ).fetchall()
    found: dict[Group, list[Pushed]] = {}
    for repository, machine_class, month, hour, runs, numbers, doubles in rows:
        parts = Counter(dict(zip(runs, numbers, strict=True)))
        found.setdefault(Group(repository, machine_class, month), []).append(Pushed(hour, parts, int(doubles)))
    return found


class Compacted(NamedTuple):
    """What there is at the end of the year, and what it took: parts and bytes that were read and written again."""

    parts: int
    bytes: float
    most: int  # parts at the worst hour
    most_in_prefix: int  # of one repository and month, then
    written_parts: int
    written_bytes: float
    read_parts: int
    read_bytes: float
    left: dict[Group, Counter[int]]  # parts by their runs, at the end


def compacted(found: Year, every: int | None, size: Callable[[int], float], large: float) -> Compacted:
    """The year with a compaction each so many hours, or none.

    `size` says the bytes of a part by the number of its runs; a part of `large` bytes is joined no more.
    """
    done = {group: _group_compacted(pushed, every, size, large) for group, pushed in found.groups.items()}
    prefixes: dict[tuple[int, int], Counter[int]] = {}
    for group, one in done.items():
        prefixes.setdefault((group.repository, group.month), Counter()).update(one.changes)
    every_hour: Counter[int] = Counter()
    for changes in prefixes.values():
        every_hour.update(changes)
    left = {group: one.left for group, one in done.items()}
    return Compacted(
        sum(parts.total() for parts in left.values()),
        sum(_bytes(parts, size) for parts in left.values()),
        _highest(every_hour),
        max(map(_highest, prefixes.values())),
        sum(one.written.total() for one in done.values()),
        sum(_bytes(one.written, size) for one in done.values()),
        sum(one.read.total() for one in done.values()),
        sum(_bytes(one.read, size) for one in done.values()),
        left,
    )


def _highest(changes: Counter[int]) -> int:
    return max(accumulate(changes[hour] for hour in sorted(changes)))


class _Joined(NamedTuple):
    """What became of the parts of one group: by their runs, and how their number changes by the hour."""

    left: Counter[int]
    written: Counter[int]
    read: Counter[int]
    changes: Counter[int]


def _group_compacted(
    pushed: Iterable[Pushed], every: int | None, size: Callable[[int], float], large: float
) -> _Joined:
    done = _Joined(Counter(), Counter(), Counter(), Counter())
    small: Counter[int] = Counter()
    due = doubles = 0
    for one in [*pushed, Pushed(1 << 30, Counter(), 0)]:
        if every and one.hour >= due and small.total() > 1:
            made = _made(sum(runs * number for runs, number in small.items()) - doubles)
            done.read.update(small)
            done.written.update(made)
            done.changes[due] += made.total() - small.total()
            done.left.update({runs: number for runs, number in made.items() if size(runs) >= large})
            small, doubles = Counter({runs: number for runs, number in made.items() if size(runs) < large}), 0
        due = one.hour - one.hour % every + every if every else 0
        small.update(one.parts)
        doubles += one.doubles
        done.changes[one.hour] += one.parts.total()
    done.left.update(small)
    return done


def _made(runs: int) -> Counter[int]:
    """The parts that so many runs become."""
    return Counter({FULL: runs // FULL}) + Counter({runs % FULL: 1})


def _bytes(parts: Counter[int], size: Callable[[int], float]) -> float:
    return sum(number * size(runs) for runs, number in parts.items())
