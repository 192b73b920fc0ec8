"""Which keys of a proposed configuration let more through than the base's.

The configuration of the base judges, so that nobody raises the limits that they are judged by.
"""

from __future__ import annotations

from orchgate.config.entries import SHIPPED, STAGE_TASTE, MetricSettings
from orchgate.config.faults import as_toml, clipped, dotted, toml
from orchgate.config.keys import CHANGE, MORE, ONCE_SET, Key, Looser, every, fields
from orchgate.config.kinds import Globs, ReplayPolicy
from orchgate.config.load import EXTENDS, declared, floor
from orchgate.config.settings import SECTIONS, Top, family
from orchgate.config.shared.layers import MAY_LOOSEN, SHARED
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping
    from typing import Any

    from orchgate.config.entries import PipelineSettings, StageSettings
    from orchgate.config.faults import At
    from orchgate.config.settings import Config, Signatures
    from orchgate.model import Rule

    Rules = Mapping[str, tuple[str, Rule]]

# Which are compared entry by entry.
APART = ("pipelines", "severity", "ignore", "signatures.roles", "signatures.required", EXTENDS, MAY_LOOSEN)
_WEIGHT = {"off": 0, "note": 1, "warning": 2, "error": 3}


class Loosening(NamedTuple):
    """One key that got looser: `what` follows it and says how, `governs` which rules or families it can silence.

    `moves` says that the base's places and the new ones are in force, not the base's value alone. `at` is the path of
    what sets it.
    """

    at: At
    what: str
    governs: tuple[str, ...]
    moves: bool = False

    @property
    def key(self) -> str:
        return dotted(self.at)


def loosened(base: Config, proposed: Config, rules: Rules) -> tuple[Loosening, ...]:
    """Every key that the proposed configuration loosens, in the order of the tables; `rules` are all there are."""
    found = tuple(between(base, proposed, rules))
    return (*found, *_shared(base, proposed, rules, {one.key for one in found}))


def between(base: Config, proposed: Config, rules: Rules) -> Iterator[Loosening]:
    """As `loosened`, of the values alone, whatever asks for them."""
    yield from _keys(base, proposed)
    yield from _pipelines(base, proposed)
    yield from _severities(base, proposed, rules)
    yield from _ignores(base, proposed)
    yield from _signatures(base.signatures, proposed.signatures)


def _shared(base: Config, proposed: Config, rules: Rules, known: Collection[str]) -> Iterator[Loosening]:
    """What shared files asked for and do no longer, though nothing of it counts yet; `known` are keys that are said."""
    before, after = floor(base.source), floor(proposed.source)
    if before is None:
        return
    names, left = ([name for name, _ in one.source.shared] for one in (base, proposed))
    if gone := tuple(name for name in names if name not in left):
        yield Loosening((EXTENDS,), f"is looser: drops {_shown(gone)}", ())
    if after is None:
        return
    ruled = shared_keys(before)
    if more := tuple(name for name in proposed.top.may_loosen if name not in base.top.may_loosen):
        yield Loosening((MAY_LOOSEN,), f"is looser: adds {_shown(more)}", ())
    looser = [one for one in between(before, after, rules) if one.key not in known and one.key in ruled]
    unsaid = ruled - shared_keys(after) - {one.key for one in looser} - {*known}
    said = [f"{one.key} {one.what}" for one in looser] + [f"{key} is not set any more" for key in sorted(unsaid)]
    if said and not gone:
        yield Loosening((EXTENDS,), f"asks for less: {'; '.join(said[:3])}{_and_more(said)}", ())


def _and_more(listed: list[str]) -> str:
    return f" and {len(listed) - 3} more" if listed[3:] else ""


def shared_keys(least: Config) -> set[str]:
    """The keys that shared files set, of what they say alone; of pipelines and severities by their names."""
    found = {key for key, origin in least.origins.items() if origin.startswith(SHARED)}
    for _, one in least.source.shared:
        for table in ("pipelines", "severity"):
            named = one.table.get(table)
            folded = {str(name).upper() for name in named} if isinstance(named, dict) else ()
            values = least.pipelines if table == "pipelines" else least.top.severity
            found.update(dotted((table, name)) for name in values if name.upper() in folded)
    return found


def sections(config: Config) -> Iterator[tuple[str, Any, Any]]:
    """The tables of a configuration by name, with what declares them and their values."""
    for name, table in declared().items():
        yield name, table, getattr(config, name or "top") if name in SECTIONS else config.of(table)


def value_at(values: Any, path: tuple[str, ...]) -> Any:
    """The value of a key below a table's values."""
    for name in path:
        values = getattr(values, name.replace("-", "_"))
    return values


def _keys(base: Config, proposed: Config) -> Iterator[Loosening]:
    for (name, table, old), (_, _, new) in zip(sections(base), sections(proposed), strict=True):
        for path, one in every(table):
            before, after = value_at(old, path), value_at(new, path)
            if one.common:  # what the top lists is said of the top
                tops = base.top.exclude, proposed.top.exclude
                before, after = _without(before, after, tops[0]), _without(after, before, tops[1])
            where = (name, *path) if name else path
            if dotted(where) not in APART and (what := _difference(one, before, after)):
                yield Loosening(where, what, one.governs, one.moves)


def _without(own: tuple[str, ...], other: tuple[str, ...], common: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(item for item in own if item in other or item not in common)


def _difference(spec: Key, before: object, after: object) -> str:
    """How `after` is looser than `before`; "" when it is not."""
    if spec.looser is Looser.NO or before == after:
        return ""
    if spec.looser is ONCE_SET and before == spec.default:
        return ""
    if spec.looser in (CHANGE, ONCE_SET):
        changed = f"may be looser: changed from {_shown(before)} to {_shown(after)}"
        return "" if _tightened(before, after) else changed
    if isinstance(spec.kind, ReplayPolicy):
        fewer = spec.kind.rank(str(after)) < spec.kind.rank(str(before))
        return f"is looser: changed from {_shown(before)} to {_shown(after)}" if fewer else ""
    if isinstance(before, tuple) and isinstance(after, tuple):
        part = _list_difference(spec, before, after)
        return part and ("may be" if part.startswith("reorders") else "is") + f" looser: {part}"
    assert isinstance(before, int | float)
    assert isinstance(after, int | float)
    raised = after > before
    if raised != (spec.looser is MORE):
        return ""
    return f"is looser: {'raised' if raised else 'lowered'} from {toml(before)} to {toml(after)}"


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
    named = getattr(before, "_fields", ()) if type(before) is type(after) else ()
    least = ("min",) if isinstance(before, MetricSettings) else ()
    pairs = ((name, getattr(before, name), getattr(after, name)) for name in named)
    return before == after or (bool(named) and all(_tighter(old, new, name in least) for name, old, new in pairs))


def _tighter(before: object, after: object, least: bool) -> bool:
    # Nothing is looser for a bound where there was none.
    if before == after or (before is None and isinstance(after, int | float)):
        return True
    if not isinstance(before, int | float) or not isinstance(after, int | float):
        return False
    return after > before if least else after < before


def _shown(value: object) -> str:
    if isinstance(value, tuple) and not hasattr(value, "_fields"):
        return clipped(", ".join(toml(one) for one in value) or "nothing", 120)
    return as_toml(value, 120)


def _pipelines(base: Config, proposed: Config) -> Iterator[Loosening]:
    declared = fields(Top)["pipelines"]
    assert isinstance(declared, Key)
    for name in {**base.pipelines, **proposed.pipelines}:
        before, after = base.pipelines.get(name), proposed.pipelines.get(name)
        if before is None:
            if name in _expected(base):
                yield Loosening(
                    ("pipelines", name), "may be looser: replaces what the name stood for", declared.governs
                )
        elif after is None:
            yield Loosening(("pipelines", name), "is looser: removed", declared.governs)
        elif _substance(before) != _substance(after):
            yield Loosening(("pipelines", name), f"may be looser: {_what_differs(before, after)}", declared.governs)


def _expected(base: Config) -> set[str]:
    """Pipelines whose runs a configuration asks for though it does not define them: something else does."""
    asked = base.evidence.required_runs if "evidence.required-runs" in base.origins else ()
    shipped = {SHIPPED} if base.origins else set()  # a repository without a configuration asks for no gate of its own
    return {*shipped, base.performance.pipeline, *(kind.partition(":")[0] for kind in asked)}


def _substance(pipeline: PipelineSettings) -> PipelineSettings:
    stages = tuple(stage._replace(title="", summary_hint="") for stage in pipeline.stages)
    return pipeline._replace(stages=stages, title="")


def _what_differs(before: PipelineSettings, after: PipelineSettings) -> str:
    old, new = {stage.id: stage for stage in before.stages}, {stage.id: stage for stage in after.stages}
    parts = [f"drops stage {name!r}" for name in old if name not in new]
    parts += [f"adds stage {name!r}" for name in new if name not in old]
    for name, stage in old.items():
        if keys := _changed(stage, new.get(name, stage)):
            parts.append(f"changes {', '.join(keys)} of stage {name!r}")
    return "; ".join(parts[:3]) + (f" and {len(parts) - 3} more" if parts[3:] else "") or "changed"


def _changed(before: StageSettings, after: StageSettings) -> list[str]:
    pairs = zip(before._fields, before, after, strict=True)
    return [field.replace("_", "-") for field, old, new in pairs if old != new and field not in STAGE_TASTE]


def _severities(base: Config, proposed: Config, rules: Rules) -> Iterator[Loosening]:
    """Rules that weigh less, usually or at worst: a configured severity replaces those of all situations."""
    if base.top.severity == proposed.top.severity:
        return
    found: dict[str, tuple[str, list[str]]] = {}
    for rule, (check, about) in sorted(rules.items()):
        usual = (about.severity.value, (about.worst or about.severity).value)
        before, after = (
            (one, one) if (one := config.severity_of(rule, check)) else usual for config in (base, proposed)
        )
        lower = [(old, new) for old, new in zip(before, after, strict=True) if _WEIGHT[new] < _WEIGHT[old]]
        if lower:
            names = (name for name in (rule, family(rule), check) if name in proposed.top.severity)
            what = f"is looser: lowered from {lower[0][0]} to {lower[0][1]}"
            found.setdefault(next(names, rule), (what, []))[1].append(rule)
    for name, (what, lowered) in found.items():
        some = "" if lowered == [name] or len(lowered) == 1 else f" ({', '.join(lowered)})"
        yield Loosening(("severity", name), what + some, tuple(lowered))


def _ignores(base: Config, proposed: Config) -> Iterator[Loosening]:
    had = {(paths, rule) for ignore in base.top.ignore for paths in _units(ignore.paths) for rule in ignore.rules}
    for index, ignore in enumerate(proposed.top.ignore):
        found: dict[str, list[str]] = {}
        for paths in _units(ignore.paths):
            for rule in ignore.rules:
                if (paths, rule) not in had and (paths, family(rule)) not in had:
                    found.setdefault(rule, []).append(", ".join(paths))
        if found:
            places = dict.fromkeys(place for places in found.values() for place in places)
            what = f"is looser: adds {', '.join(found)} for {clipped(', '.join(places), 120)}"
            yield Loosening(("ignore", index), what, tuple(found))


def _signatures(base: Signatures, proposed: Signatures) -> Iterator[Loosening]:
    if base.required and base != proposed:
        from orchgate.config import signing

        yield from (Loosening(at, what, signing.GOVERNS) for at, what in signing.loosened(base, proposed))


def _units(paths: tuple[str, ...]) -> Iterable[tuple[str, ...]]:
    """The globs of an entry, each for itself; all together where one takes back from those before it."""
    return (paths,) if any(path.startswith("!") for path in paths) else ((path,) for path in paths)


def table_of(config: Config) -> Mapping[str, object]:
    """Every effective value by dotted key, for `--show-config`."""
    return {
        dotted((name, *path) if name else path): value_at(values, path)
        for name, table, values in sections(config)
        for path, _ in every(table)
    }
