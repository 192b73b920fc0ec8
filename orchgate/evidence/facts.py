"""What a run claims, in the few words that a pin keeps of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.evidence.lock import Facts
from orchgate.lib.json_values import UNKNOWN_TIME
from orchgate.lib.patterns import lazy
from orchgate.runs.locate import OURS
from orchgate.runs.run import RecordedTree, Usage

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from orchgate.runs.run import Run

_OBJECT_ID = lazy(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST = 1_000  # characters of a name that a pin keeps
_LONGEST_LIST = 12_000  # characters of all paths beside the commit; escaped and with ids they fit a line of the lock
_MOST_METRICS = 100  # of a program's own that a pin keeps
_COUNTS = ("passed", "failed", "errors", "skipped")
_USED = ("wall_seconds", "max_rss_bytes", "tree_rss_bytes", "read_bytes", "written_bytes", "processes")
_LONGEST_REASON = 200  # characters


def facts_of(run: Run) -> Facts:
    """The facts of a run, whatever of it is known."""
    git = run.git or RecordedTree()
    numbers = dict(sorted(_numbers(run)))
    return Facts(
        task=run.task_id[:_LONGEST],
        run_id=run.run_id[:_LONGEST],
        pipeline=run.pipeline_id[:_LONGEST],
        status=run.status[:_LONGEST],
        commit=_object_id(git.commit),
        tree=_object_id(git.tree),
        dirty=git.dirty,
        machine=run.machine.fingerprint[:_LONGEST] if run.machine else "",
        numbers=numbers,
        format=OURS if run.format == OURS else "",
        changed=_contents(git.changed),
        untracked=_contents(git.untracked),
        cached=sum(stage.cached for stage in run.stages) if run.format == OURS else None,
        lower_bounds=dict(sorted(_lower_bounds(run.usage, numbers).items())) if run.usage else {},
    )


def _lower_bounds(usage: Usage, numbers: Collection[str]) -> dict[str, str]:
    """The numbers that are lower bounds, with the reason; all that were used where none is named and some are."""
    if not usage.lower_bounds and usage.complete is False:
        return {name: "" for name in (*_USED, "cpu_seconds") if name in numbers}
    return {name: why[:_LONGEST_REASON] for name, why in usage.lower_bounds.items() if name in numbers}


def _object_id(value: str | None) -> str | None:
    return value if value and _OBJECT_ID.fullmatch(value) else None


def _contents(value: Mapping[str, str | None] | None) -> Mapping[str, str | None] | None:
    """What was there beside the commit; None for what is not said, or too long for a line of the lock."""
    return dict(sorted(value.items())) if value is not None and sum(map(len, value)) <= _LONGEST_LIST else None


def _numbers(run: Run) -> Iterator[tuple[str, float]]:
    """Metrics by the names of verdict/values.py; those that were not measured are left out."""
    usage, tests = run.usage or Usage(), run.tests
    found: dict[str, float | None] = {name: getattr(usage, name) for name in _USED}
    if usage.wall_seconds is None:
        found["wall_seconds"] = _seconds(run)
    if run.resumptions and run.away_seconds is None:
        found["wall_seconds"] = None  # of a time that holds hours in which nobody ran it
    if usage.user_seconds is not None and usage.system_seconds is not None:
        found["cpu_seconds"] = usage.user_seconds + usage.system_seconds
    found["manifest_writes"] = run.writes.manifest_writes if run.writes else None
    found |= {f"tests_{name}": getattr(tests, name) for name in _COUNTS} if tests else {}
    # What a program says of itself, or was observed doing, is what its readers mean: the runner's own manifest writes
    # are the same in every run.
    own = sorted(run.metrics.items())
    found |= {name[:_LONGEST]: value for name, value in own[:_MOST_METRICS]}
    for name, value in found.items():
        if value is not None and 0 <= value < 1e300:
            yield name, round(value, 6)


def _seconds(run: Run) -> float | None:
    """Between the moments that the manifest gives."""
    if run.completed_at is None or run.started_at == UNKNOWN_TIME:
        return None
    return round((run.completed_at - run.started_at).total_seconds(), 3)
