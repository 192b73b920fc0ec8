"""Which keys of a proposed configuration let more through than the base's, and the limits that stay in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.config.kinds import join
from orchgate.config.table import TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchgate.config.settings import Config
    from orchgate.config.shapes import Key

_WEIGHT = {"off": 0, "note": 1, "warning": 2, "error": 3}


class Loosening(NamedTuple):
    """One key that got looser: `what` follows it and says how, `governs` which rules it can silence.

    `limit` says that the base's value is still in force.
    """

    key: str
    what: str
    governs: tuple[str, ...]
    limit: bool = True


def with_limits_of(proposed: Config, base: Config) -> Config:
    """The proposed configuration with the base's limits: a change cannot raise its own budget."""
    kept = [join(name, field.replace("_", "-")) for name in TABLE for field, key in _fields(name) if key.limit]
    origins = {key: f"{base.origins[key]} at the base" for key in (*kept, "severity", "per-file-ignores")}
    sections = {
        section: getattr(proposed, section)._replace(
            **{field: getattr(getattr(base, section), field) for field, key in _fields(name) if key.limit}
        )
        for name in TABLE
        for section in [name.replace("-", "_") or "top"]
    }
    return proposed._replace(
        **sections,
        severity=base.severity,
        per_file_ignores=base.per_file_ignores,
        origins={**proposed.origins, **origins},
    )


def _fields(name: str) -> Iterator[tuple[str, Key]]:
    for key, spec in TABLE[name].items():
        yield key.replace("-", "_"), spec


def loosened(base: Config, proposed: Config, default_severity: Callable[[str], str]) -> tuple[Loosening, ...]:
    """Every key that the proposed configuration loosens, in the order of the table."""
    return (*_keys(base, proposed), *_severities(base, proposed, default_severity), *_ignores(base, proposed))


def _keys(base: Config, proposed: Config) -> Iterator[Loosening]:
    for name in TABLE:
        section = name.replace("-", "_") or "top"
        for field, spec in _fields(name):
            before, after = getattr(getattr(base, section), field), getattr(getattr(proposed, section), field)
            if what := _difference(spec.looser, before, after):
                certainly = "may be" if spec.looser == "change" else "is"
                key = join(name, field.replace("_", "-"))
                yield Loosening(key, f"{certainly} looser: {what}", spec.governs, spec.limit)


def _difference(looser: str, before: object, after: object) -> str:
    """How `after` is looser than `before`; "" when it is not."""
    if not looser or before == after:
        return ""
    if looser == "change":
        return "" if _lowered(before, after) else f"changed from {_shown(before)} to {_shown(after)}"
    if isinstance(before, dict) and isinstance(after, dict):
        parts = (_difference(looser, before.get(key, ()), after.get(key, ())) for key in {**before, **after})
        return "; ".join(part for part in parts if part)
    if isinstance(before, tuple) and isinstance(after, tuple):
        gone, new = [item for item in before if item not in after], [item for item in after if item not in before]
        changed, word = (new, "adds") if looser == "more" else (gone, "drops")
        return f"{word} {_shown(tuple(changed))}" if changed else ""
    assert isinstance(before, int | float)
    assert isinstance(after, int | float)
    raised = after > before
    return f"{'raised' if raised else 'lowered'} from {before} to {after}" if raised == (looser == "more") else ""


def _lowered(before: object, after: object) -> bool:
    """Whether all that differs between two tables of limits is numbers that got lower, or are new where none was."""
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_lowered(before[key], after[key]) for key in before)
    if isinstance(before, tuple) and isinstance(after, tuple) and hasattr(before, "_fields"):
        return all(old == new or _lower(old, new) for old, new in zip(before, after, strict=True))
    return False


def _lower(before: object, after: object) -> bool:
    return isinstance(after, int | float) and (before is None or (isinstance(before, int | float) and after < before))


def _shown(value: object) -> str:
    text = ", ".join(map(repr, value)) if isinstance(value, tuple) else repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def _severities(base: Config, proposed: Config, default: Callable[[str], str]) -> Iterator[Loosening]:
    for rule in sorted({*base.severity, *proposed.severity}):
        before, after = base.severity.get(rule) or default(rule), proposed.severity.get(rule) or default(rule)
        if _WEIGHT.get(after, 3) < _WEIGHT.get(before, 3):
            yield Loosening(join("severity", rule), f"is looser: lowered from {before} to {after}", (rule,))


def _ignores(base: Config, proposed: Config) -> Iterator[Loosening]:
    for pattern, ignore in proposed.per_file_ignores.items():
        had = base.per_file_ignores.get(pattern)
        new = tuple(rule for rule in ignore.rules if had is None or rule not in had.rules)
        if new:
            yield Loosening(join("per-file-ignores", pattern), f"is looser: adds {', '.join(new)}", new)


def table_of(config: Config) -> Mapping[str, object]:
    """Every effective value by dotted key, for `--show-config`."""
    shown: dict[str, object] = {}
    for name in TABLE:
        for field, _ in _fields(name):
            shown[join(name, field.replace("_", "-"))] = getattr(
                getattr(config, name.replace("-", "_") or "top"), field
            )
    return {
        **shown,
        "pipelines": config.pipelines,
        "severity": config.severity,
        "per-file-ignores": config.per_file_ignores,
    }
