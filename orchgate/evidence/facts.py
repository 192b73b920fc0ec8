"""What a manifest claims, in the few words that a pin keeps of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate.evidence.lock import Facts
from orchgate.lib.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

_OBJECT_ID = lazy(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST = 1_000  # characters of a name that a pin keeps
_LONGEST_LIST = 12_000  # characters of all paths beside the commit; escaped and with ids they fit a line of the lock
_MOST_METRICS = 100  # of a program's own that a pin keeps
_COUNTS = ("passed", "failed", "errors", "skipped")
_USED = ("wall_seconds", "max_rss_bytes", "tree_rss_bytes", "read_bytes", "written_bytes", "processes")
_LONGEST_REASON = 200  # characters


def facts_of(manifest: Mapping[str, Any]) -> Facts:
    """The facts of a parsed manifest of any format. What is missing or of another kind is not known; no errors."""
    git = _table(manifest, "git")
    dirty = git.get("dirty")
    numbers = dict(sorted(_numbers(manifest)))
    return Facts(
        task=_text(manifest, "task_id"),
        run_id=_text(manifest, "run_id"),
        pipeline=_text(manifest, "pipeline_id"),
        status=_text(manifest, "status"),
        commit=_object_id(git, "commit"),
        tree=_object_id(git, "tree"),
        dirty=dirty if isinstance(dirty, bool) else None,
        machine=_text(_table(manifest, "machine"), "fingerprint"),
        numbers=numbers,
        format=_text(manifest, "format"),
        changed=_contents(git, "changed"),
        untracked=_contents(git, "untracked"),
        cached=_cached(manifest),
        lower_bounds=dict(sorted(_lower_bounds(_table(manifest, "usage"), numbers).items())),
    )


def _cached(manifest: Mapping[str, Any]) -> int | None:
    """How many stages were answered from the cache; None where the format does not say."""
    stages = manifest.get("commands")
    if manifest.get("format") != "orchgate" or not isinstance(stages, list):
        return None
    return sum(isinstance(stage, dict) and stage.get("cached") is True for stage in stages)


def _lower_bounds(usage: Mapping[str, Any], numbers: Collection[str]) -> dict[str, str]:
    """The numbers that are lower bounds, with the reason; all that were used where none is named and some are."""
    said = _table(usage, "lower_bounds")
    if not said and usage.get("complete") is False:
        return {name: "" for name in (*_USED, "cpu_seconds") if name in numbers}
    return {name: str(why)[:_LONGEST_REASON] for name, why in said.items() if name in numbers}


def _table(manifest: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = manifest.get(key)
    return value if isinstance(value, dict) else {}


def _text(manifest: Mapping[str, Any], key: str) -> str:
    value = manifest.get(key)
    return value[:_LONGEST] if isinstance(value, str) else ""


def _object_id(git: Mapping[str, Any], key: str) -> str | None:
    value = git.get(key)
    return value if isinstance(value, str) and _OBJECT_ID.fullmatch(value) else None


def _contents(git: Mapping[str, Any], key: str) -> Mapping[str, str | None] | None:
    """What lay beside the commit; None for what is not said, or too long for a line of the lock."""
    value = git.get(key)
    if not isinstance(value, dict) or not all(isinstance(one, str | None) for one in value.values()):
        return None
    return dict(sorted(value.items())) if sum(map(len, value)) <= _LONGEST_LIST else None


def _numbers(manifest: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Metrics by the names of metrics/values.py; those that were not measured are left out."""
    usage, tests = _table(manifest, "usage"), _table(manifest, "tests")
    found: dict[str, Any] = {name: usage.get(name) for name in _USED}
    if found["wall_seconds"] is None:
        found["wall_seconds"] = _seconds(manifest.get("started_at"), manifest.get("completed_at"))
    if manifest.get("resume_events") and "away_seconds" not in manifest:
        found["wall_seconds"] = None  # of a time that holds hours in which nobody ran it
    spent = [usage.get("user_seconds"), usage.get("system_seconds")]
    found["cpu_seconds"] = sum(spent) if all(map(_is_number, spent)) else None
    found["manifest_writes"] = _table(manifest, "writes").get("manifest_writes")
    found |= {f"tests_{name}": tests.get(name) for name in _COUNTS}
    # What a program says of itself, or was observed doing, is what its readers mean: the runner's own manifest writes
    # are the same in every run.
    own = sorted(_table(manifest, "metrics").items())
    found |= {name[:_LONGEST]: value for name, value in own[:_MOST_METRICS]}
    for name, value in found.items():
        if _is_number(value):
            yield name, round(value, 6) if isinstance(value, float) else value


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e300


def _seconds(start: object, end: object) -> float | None:
    """Between two moments as manifests write them."""
    if not isinstance(start, str) or not isinstance(end, str):
        return None
    from datetime import datetime

    try:
        return round((datetime.fromisoformat(end) - datetime.fromisoformat(start)).total_seconds(), 3)
    except (ValueError, TypeError):
        return None
