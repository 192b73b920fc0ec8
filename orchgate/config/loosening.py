"""Which keys of a proposed configuration let more through than the base's."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.config.kinds import Globs, join
from orchgate.config.settings import Metric
from orchgate.config.shapes import CHANGE, MORE, STAGE_TASTE, Looser
from orchgate.config.table import FREE, TABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orchgate.config.settings import Config, Pipeline, Stage
    from orchgate.config.shapes import Key

SHIPPED = "implementation-gate"  # the one pipeline that is there without being configured
_WEIGHT = {"off": 0, "note": 1, "warning": 2, "error": 3}


class Loosening(NamedTuple):
    """One key that got looser: `what` follows it and says how, `governs` which rules or families it can silence.

    `moves` says that the base's places and the new ones are in force, not the base's value alone.
    """

    key: str
    what: str
    governs: tuple[str, ...]
    moves: bool = False


def fields(name: str) -> Iterator[tuple[str, Key]]:
    """The keys of a table by the name of their field."""
    for key, spec in TABLE[name].items():
        yield key.replace("-", "_"), spec


def loosened(
    base: Config, proposed: Config, default_severities: Callable[[str], tuple[str, str]]
) -> tuple[Loosening, ...]:
    """Every key that the proposed configuration loosens, in the order of the table."""
    return (
        *_keys(base, proposed),
        *_pipelines(base, proposed),
        *_severities(base, proposed, default_severities),
        *_ignores(base, proposed),
    )


def _keys(base: Config, proposed: Config) -> Iterator[Loosening]:
    for name in TABLE:
        section = name.replace("-", "_") or "top"
        for field, spec in fields(name):
            before, after = getattr(getattr(base, section), field), getattr(getattr(proposed, section), field)
            if what := _difference(spec, before, after):
                yield Loosening(join(name, field.replace("_", "-")), what, spec.governs, spec.moves)


def _difference(spec: Key, before: object, after: object) -> str:
    """How `after` is looser than `before`; "" when it is not."""
    if spec.looser is Looser.NO or before == after:
        return ""
    if spec.looser is CHANGE:
        changed = f"may be looser: changed from {_shown(before)} to {_shown(after)}"
        return "" if _tightened(before, after) else changed
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(before.get(key, ()), after.get(key, ())) for key in {**before, **after}]
        parts = [part for old, new in pairs if (part := _list_difference(spec, old, new))]
        return "is looser: " + "; ".join(parts) if parts else ""
    if isinstance(before, tuple) and isinstance(after, tuple):
        part = _list_difference(spec, before, after)
        return part and ("may be" if part.startswith("reorders") else "is") + f" looser: {part}"
    assert isinstance(before, int | float)
    assert isinstance(after, int | float)
    raised = after > before
    if raised != (spec.looser is MORE):
        return ""
    return f"is looser: {'raised' if raised else 'lowered'} from {before} to {after}"


def _list_difference(spec: Key, before: tuple[str, ...], after: tuple[str, ...]) -> str:
    """What a list adds or drops that loosens it.

    Wherever it stands, an entry can only add to what a list of globs matches, and one with a `!` only take away.
    """
    globs = isinstance(spec.kind, Globs)
    gone, new = [item for item in before if item not in after], [item for item in after if item not in before]
    widens, narrows = (new, gone) if spec.looser is MORE else (gone, new)
    looser = {item for item in widens if not _takes_back(globs, item)}
    looser |= {item for item in narrows if _takes_back(globs, item)}
    if looser:
        parts = (
            (word, tuple(item for item in items if item in looser)) for word, items in (("adds", new), ("drops", gone))
        )
        return ", ".join(f"{word} {_shown(items)}" for word, items in parts if items)
    kept, were = [item for item in after if item in before], [item for item in before if item in after]
    reordered = kept != were and any(_takes_back(globs, item) for item in kept)
    return f"reorders {_shown(tuple(kept))}" if reordered else ""


def _takes_back(globs: bool, item: str) -> bool:
    return globs and item.startswith("!")


def _tightened(before: object, after: object) -> bool:
    """Whether all that differs between two tables of limits is numbers that got tighter, or are new where none was."""
    if isinstance(before, dict) and isinstance(after, dict):
        return before.keys() == after.keys() and all(_tightened(before[key], after[key]) for key in before)
    if isinstance(before, tuple) and isinstance(after, tuple):
        named = getattr(before, "_fields", ()) if type(before) is type(after) else ()
        least = ("min",) if isinstance(before, Metric) else ()
        pairs = zip(named, before, after, strict=True) if named else ()
        return before == after or (bool(named) and all(_tighter(old, new, name in least) for name, old, new in pairs))
    return False


def _tighter(before: object, after: object, least: bool) -> bool:
    # Nothing is looser for a bound, or a file of benchmarks, where there was none.
    if before == after or (before is None and isinstance(after, int | float)) or before == "":
        return True
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return False
    return after > before if least else after < before


def _shown(value: object) -> str:
    text = repr(value)
    if isinstance(value, tuple):
        text = ", ".join(map(repr, value)) or "nothing"
    elif isinstance(value, dict):
        text = "{" + ", ".join(f"{key!r}: {_entry(one)}" for key, one in value.items()) + "}"
    return text if len(text) <= 120 else text[:117] + "..."


def _entry(value: object) -> str:
    """A value of a table; one that is a table itself as the file writes it, without what it does not set."""
    names = getattr(value, "_fields", ())
    if not names:
        return repr(value)
    found = ((name.replace("_", "-"), getattr(value, name)) for name in names)
    told = ((name, list(one) if isinstance(one, tuple) else one) for name, one in found if one not in (None, ()))
    return "{" + ", ".join(f"{name} = {one!r}" for name, one in told) + "}"


def _pipelines(base: Config, proposed: Config) -> Iterator[Loosening]:
    governs = FREE["pipelines"].governs
    for name in {**base.pipelines, **proposed.pipelines}:
        before, after = base.pipelines.get(name), proposed.pipelines.get(name)
        if before is None:
            if name in _expected(base):
                yield Loosening(join("pipelines", name), "may be looser: replaces what the name stood for", governs)
        elif after is None:
            yield Loosening(join("pipelines", name), "is looser: removed", governs)
        elif _substance(before) != _substance(after):
            yield Loosening(join("pipelines", name), f"may be looser: {_what_differs(before, after)}", governs)


def _expected(base: Config) -> set[str]:
    """Pipelines whose runs a configuration asks for though it does not define them: something else does."""
    asked = base.evidence.required_runs if base.origins["evidence.required-runs"] != "default" else ()
    return {SHIPPED, base.performance.pipeline, *(kind.partition(":")[0] for kind in asked)}


def _substance(pipeline: Pipeline) -> Pipeline:
    stages = tuple(stage._replace(title="", summary_hint="") for stage in pipeline.stages)
    return pipeline._replace(stages=stages, title="")


def _what_differs(before: Pipeline, after: Pipeline) -> str:
    old, new = {stage.id: stage for stage in before.stages}, {stage.id: stage for stage in after.stages}
    parts = [f"drops stage {name!r}" for name in old if name not in new]
    parts += [f"adds stage {name!r}" for name in new if name not in old]
    for name, stage in old.items():
        if keys := _changed(stage, new.get(name, stage)):
            parts.append(f"changes {', '.join(keys)} of stage {name!r}")
    return "; ".join(parts[:3]) + (f" and {len(parts) - 3} more" if parts[3:] else "") or "changed"


def _changed(before: Stage, after: Stage) -> list[str]:
    pairs = zip(before._fields, before, after, strict=True)
    return [field.replace("_", "-") for field, old, new in pairs if old != new and field not in STAGE_TASTE]


def _severities(base: Config, proposed: Config, default: Callable[[str], tuple[str, str]]) -> Iterator[Loosening]:
    """Rules that weigh less, usually or at worst: a configured severity replaces those of all situations."""
    for rule in sorted({*base.severity, *proposed.severity}):
        before, after = (
            (one, one) if (one := config.severity.get(rule)) else default(rule) for config in (base, proposed)
        )
        lower = [(old, new) for old, new in zip(before, after, strict=True) if _WEIGHT[new] < _WEIGHT[old]]
        if lower:
            old, new = lower[0]
            yield Loosening(join("severity", rule), f"is looser: lowered from {old} to {new}", (rule,))


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
        section = getattr(config, name.replace("-", "_") or "top")
        shown |= {join(name, field.replace("_", "-")): getattr(section, field) for field, _ in fields(name)}
    return {**shown, **{name: getattr(config, name.replace("-", "_")) for name in FREE}}
