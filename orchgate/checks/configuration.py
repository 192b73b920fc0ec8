"""A change cannot loosen the gate that judges it without saying so."""

from __future__ import annotations

import os

from orchgate.config.entries import SHIPPED
from orchgate.config.faults import ConfigFault, as_toml, dotted
from orchgate.config.kinds import nearest
from orchgate.config.load import EXTENDS
from orchgate.config.source import FILE, PYPROJECT, KeyPositions
from orchgate.gate.suppressions import KNOWN, every_rule, faults_of
from orchgate.lib.text import clip, counted, is_like
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Check, Finding, Location, Outcome, Rule, RunOrder, Severity, Trouble

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchgate.config.faults import At
    from orchgate.config.loosening import Loosening
    from orchgate.config.settings import Config
    from orchgate.config.shared.policy import Exceeded
    from orchgate.gate.context import CheckEngine, Context
    from orchgate.model import CheckResult

SECRETS = ("evidence.secrets", "evidence.secrets-allowed")
EVERY_RULE = ("",)  # which every rule begins with
SIGNERS = (".orchgate/allowed_signers", ".orchgate/revoked_keys")
PROVED = "accept"  # what runs of acceptance criteria are of
SIGNED = ("EVD014",)  # which they can silence
RULES = (
    Rule(
        "CFG001",
        "this change loosens the gate",
        Severity.WARNING,
        what="The change edits orchgate's configuration so that more would pass: a higher limit, a new exception, a "
        "lower severity, documents or code that are no longer checked, a changed pipeline. The change is judged by the "
        "configuration of its base, or by the defaults where the base has none that can be read; where documents move, "
        "both their old and their new paths are checked. It is an error when the same change also contains something "
        "that the base's configuration refuses. A pure move between orchgate.toml and pyproject.toml loosens "
        "nothing. A change that adds to the findings which .orchgate/known.json accepts is reported, too: as an error "
        "where the change itself brings them. So is one that lets "
        "more keys sign (.orchgate/allowed_signers), or takes back that one is revoked (.orchgate/revoked_keys). What "
        "is looser than a configuration that this one `extends` is an error "
        "in the change that loosens it and in a check of the whole tree, unless a shared configuration has the key in "
        "`may-loosen`; in a change that only began to extend it, a warning.",
        why="A budget that can be raised in the same change that exceeds it is not a budget.",
        bad="one change with `max-lines = 5000` and 4,200 lines of code",
        good="first a separate change that raises the limit and says why; once it has landed, the code",
        worst=Severity.ERROR,
    ),
    Rule(
        "CFG002",
        "two configurations",
        Severity.WARNING,
        what="There are both orchgate.toml and [tool.orchgate] in pyproject.toml. Only orchgate.toml is used.",
        why="Sooner or later somebody edits the other one and wonders why nothing changes.",
        bad="orchgate.toml with `max-lines = 800`, pyproject.toml with `[tool.orchgate.diff-budget] max-lines = 400`",
        good="all of it in orchgate.toml",
    ),
    Rule(
        "CFG003",
        "old name of a key",
        Severity.WARNING,
        what="The configuration sets a key under the name that it had in an earlier version. It still counts, for one "
        "minor version.",
        why="The next version does not know the old name, and ends in exit code 2 at every commit.",
        bad="`review-days = 90` under [documents]",
        good="orchgate config migrate",
    ),
    Rule(
        "CFG004",
        "setting without effect",
        Severity.WARNING,
        what="The configuration names something that is not there: a default branch that no remote and no local branch "
        "has, a folder of a stage that the tree does not hold, a run that is required or must be signed, of a pipeline "
        "that nobody defines. It is looked for where the change touches the configuration, or the whole tree is "
        "judged.",
        why="A slip in a name switches off what the key was meant to switch on, in silence.",
        bad='required-runs = ["diagnostic:after"] where the pipeline is called diagnostics',
        good='required-runs = ["diagnostics:after"]',
    ),
)


def run(ctx: Context) -> Outcome:
    ctx.scope.require_changes()  # without a base nobody can tell what was loosened
    unread = (*((_unread(ctx),) if ctx.unread else ()), *_known_anew(ctx), *_signers_anew(ctx))
    twice = ((_SHADOWED,) if ctx.proposed.shadowed else ()) + _old_names(ctx) + _in_vain(ctx)
    if ctx.accepted is None:
        shared = _looser_than_shared(ctx, ())
        number = len(ctx.proposed.source.shared) if ctx.scope.whole_tree else 0
        counts = {"configuration changes": len(unread), **({"shared configurations": number} if number else {})}
        return Outcome((*unread, *(one for _, one in shared), *twice), counts)
    from orchgate.config.loosening import loosened

    found = loosened(ctx.accepted, ctx.proposed, every_rule())
    shared = _looser_than_shared(ctx, found)
    refused = {key for key, one in shared if one.severity is Severity.ERROR}
    findings = tuple(
        one
        for loosening in found
        if not _first(ctx, loosening, one := _finding(ctx, loosening))
        if one.severity is Severity.ERROR or loosening.key not in refused
    )
    facts = {"loosened": [one.key for one in found]}
    every = (*unread, *findings, *(one for _, one in shared), *twice)
    return Outcome(every, {"configuration changes": 1}, facts, tuple(_unknown(ctx, found, bool(unread))))


_SHADOWED = Finding(
    "CFG002",
    Location(PYPROJECT),
    f"[tool.orchgate] is ignored because there is also {FILE}",
    f"move its settings to {FILE} and delete the table",
)
ADOPTED = "a check of the whole tree refuses it, until it is as strict or a shared configuration has it in `may-loosen`"
APART = "land the configuration first, in a separate change"


def _unread(ctx: Context) -> Finding:
    place = Location(FILE if FILE in ctx.snapshot.entries else PYPROJECT)
    message = f"the base's configuration cannot be read ({ctx.unread})"
    if ctx.accepted is None:
        hint = "this change only repairs it and is judged by its own limits: review them before it lands"
        return Finding("CFG001", place, message, hint)
    message += ", so this change is judged by the defaults"
    refused = _refused(ctx, EVERY_RULE)
    if refused:
        message += f", which refuse it ({', '.join(refused)})"
        return Finding("CFG001", place, message, "land the repair first, in a separate change", Severity.ERROR)
    return Finding("CFG001", place, message, "review the repaired limits before it lands")


def _first(ctx: Context, loosening: Loosening, found: Finding) -> bool:
    """Whether nothing was configured before, and what is may be no looser: whoever begins is not warned of it."""
    assert ctx.accepted is not None
    begins = not ctx.accepted.source.file and not ctx.unread
    return begins and loosening.what.startswith("may be") and found.severity is not Severity.ERROR


def _finding(ctx: Context, loosening: Loosening) -> Finding:
    refused = _refused(ctx, loosening.governs)
    if loosening.key in SECRETS:
        refused += _pinned_secrets(ctx)
    place, message = _location(ctx, loosening.at), f"{loosening.key} {loosening.what}"
    if refused:
        message += f", and this change also contains what the old value refuses ({', '.join(refused)})"
        return Finding("CFG001", place, message, APART, Severity.ERROR)
    judged = "at both the old and the new paths" if loosening.moves else "by the old value"
    # A profile alone changes twenty; what is not extended any more is said by itself.
    listed = () if loosening.at[0] == EXTENDS else ("settings that may be looser", loosening.key)
    return Finding("CFG001", place, message, f"this change is judged {judged}", listed=listed)


def _looser_than_shared(ctx: Context, found: Collection[Loosening]) -> tuple[tuple[str, Finding], ...]:
    """What is looser than what is shared, by key: of the whole tree all of it, of a change what it brings.

    Where the change only began to be held to something, and loosens nothing itself, that is a warning: whoever adopts
    a policy decides then what becomes of each.
    """
    looked_at = ctx.scope.whole_tree or ctx.accepted is not None or ctx.scope.base is None or ctx.unread
    if not ctx.proposed.source.shared or not looked_at:
        return ()
    from orchgate.config.shared.policy import exceeded, unknown_allowances

    rules, loosened = every_rule(), {one.key for one in found}
    before = None if ctx.scope.whole_tree else ctx.accepted
    had = {one.message for one in exceeded(before, rules)} if before else set()
    findings = []
    # What the base's shared files allow counts for what this change loosens: not what it allows itself.
    allowed = before.top.may_loosen if before and before.source.shared else None
    now = {one.loosening.key for one in exceeded(ctx.proposed, rules)}
    for one in exceeded(ctx.proposed, rules, allowed):
        key = one.loosening.key
        if before is None or key in loosened:
            hint = "only a shared configuration can allow it, by `may-loosen`" if key in now else APART
            findings.append((key, _held_to(ctx, one, Severity.ERROR, hint)))
        elif key in now and one.message not in had:
            findings.append((key, _held_to(ctx, one, Severity.WARNING, ADOPTED)))
    in_vain = (Finding("CFG004", _location(ctx, one.at), one.message) for one in unknown_allowances(ctx.proposed))
    return (*findings, *(("", one) for one in in_vain))


def _held_to(ctx: Context, one: Exceeded, weight: Severity, hint: str) -> Finding:
    return Finding("CFG001", _location(ctx, one.loosening.at), one.message, hint, weight)


def _is_alone(ctx: Context) -> bool:
    """Whether the change is one of the configuration, and of nothing else."""
    from orchgate.config.judging import only_configuration

    files = (*ctx.proposed.source.files, *(ctx.accepted.source.files if ctx.accepted else ()))
    return only_configuration(ctx.scope, ctx.base, ctx.snapshot, files)


def _refused(ctx: Context, rules: Collection[str]) -> list[str]:
    """Those of some rules and families that refuse this change under the base's configuration."""
    if not rules or _is_alone(ctx):
        return []
    diagnostics = (diagnostic for result in _results(ctx, rules) for diagnostic in result.diagnostics)
    refusing = {d.finding.rule for d in diagnostics if d.severity is Severity.ERROR and d.counts}
    return sorted(rule for rule in refusing if rule.startswith(tuple(rules)))


def _results(ctx: Context, rules: Collection[str]) -> tuple[CheckResult, ...]:
    return _engine(ctx).results_before(rules)


def _engine(ctx: Context) -> CheckEngine:
    assert ctx.engine is not None  # this check never runs by itself
    return ctx.engine


def _pinned_secrets(ctx: Context) -> list[str]:
    """Artifacts that this change pins and that `evidence push` would have kept back."""
    from orchgate.evidence.transfer import pinned_secrets

    return list(pinned_secrets(ctx.snapshot, ctx.base, ctx.artifacts, ctx.limits.evidence))


def _known_anew(ctx: Context) -> Iterator[Finding]:
    """What the change adds to the list of known findings. Raises KnownError, where the list cannot be read."""
    if ctx.scope.base is None or all(KNOWN not in (one.path, one.old_path) for one in ctx.scope.changes):
        return
    from orchgate.gate import known

    after = known.of(ctx.snapshot)
    try:
        before = known.of(ctx.base)
    except known.KnownError:  # whoever repairs it is not blamed for all of it
        before = known.NOTHING
    grown = known.grown(before, after)
    if not grown.number:
        return
    reasons = list(dict.fromkeys(after.reasons[entry] for entry in sorted(grown.entries)))
    message = f"accepts {counted(grown.number, 'more finding')} as known: {clip('; '.join(reasons), 200)}"
    own = sorted(
        {
            diagnostic.finding.rule
            for result in _results(ctx, {entry.rule for entry in grown.entries})
            for diagnostic in result.diagnostics
            if diagnostic.severity is Severity.ERROR and diagnostic.counts
            if any(known.entry_of(fault) in grown.entries for fault in faults_of(diagnostic))
        }
    )
    if own:
        message += f", and this change itself brings some of them ({', '.join(own)})"
        yield Finding("CFG001", Location(KNOWN), message, "fix what this change brings", Severity.ERROR)
    else:
        yield Finding("CFG001", Location(KNOWN), message, "a change is judged by its base, not by this list")


def _signers_anew(ctx: Context) -> Iterator[Finding]:
    """Who may sign by the change's lists and could not by the base's. Raises Unreadable, where those cannot be read."""
    touched = {path for one in ctx.scope.changes for path in (one.path, one.old_path)}
    if ctx.scope.base is None or touched.isdisjoint(SIGNERS):
        return
    from orchgate.signers import trusted

    for path in SIGNERS:
        before, after = (tree.find(path, trusted.MAX_BYTES) or b"" for tree in (ctx.base, ctx.snapshot))
        for line, words in trusted.loosened(path, before, after):
            yield _signer(ctx, Location(path, line), words)


def _signer(ctx: Context, place: Location, words: str) -> Finding:
    """A note where the base asks for no signature: nothing passes by it yet."""
    required = ctx.limits.signatures.required
    if refused := _refused(ctx, SIGNED) if required else []:
        message = f"{words}, and this change also contains what the old signers refuse ({', '.join(refused)})"
        return Finding("CFG001", place, message, "land the signers first, in a separate change", Severity.ERROR)
    message = f"{words}; this change is judged by its base's signers"
    return Finding("CFG001", place, message, "review it before it lands", None if required else Severity.NOTE)


def _unknown(ctx: Context, found: tuple[Loosening, ...], unread: bool) -> Iterator[Trouble]:
    """Checks that could not say whether the old limits refuse this change."""
    rules = EVERY_RULE if unread else {rule for one in found for rule in one.governs}
    if not rules or _is_alone(ctx):
        return
    place = _location(ctx, found[0].at) if found else Location(FILE)
    for result in _results(ctx, rules):
        if result.troubles:
            message = f"the check {result.id} could not judge this change by the old limits"
            yield Trouble(place, message, f"orchgate check {result.id}")


def _location(ctx: Context, at: At) -> Location:
    """Where the proposed configuration sets a key."""
    source = ctx.proposed.source
    file, line, column = KeyPositions(source).whole(at) if source.text else ("", 0, 0)
    if not line:  # the key went back to its default, perhaps with the file
        touched = {name for change in ctx.scope.changes for name in (change.path, change.old_path)}
        return Location(source.file or (FILE if FILE in touched else PYPROJECT))
    return Location(file, line, column)


def _old_names(ctx: Context) -> tuple[Finding, ...]:
    """One finding for each key that is set under the name it had."""
    source, renamed = ctx.proposed.source, ctx.proposed.renamed
    if not renamed:
        return ()
    places = KeyPositions(source)
    found = ((places.whole(old, key=True), old, new) for old, new in renamed)
    return tuple(
        Finding(
            "CFG003",
            Location(*place),
            f"{dotted(old)} is called {dotted(new)} now",
            "orchgate config migrate" if place[0] == source.file else "rename it there, then pin the new file",
        )
        for place, old, new in sorted(found, key=lambda one: one[0])
    )


def _in_vain(ctx: Context) -> tuple[Finding, ...]:
    """What is named and not there; looked for only where it may have changed."""
    touched = ctx.accepted is not None
    if not ctx.scope.whole_tree and not touched:
        return ()
    source = ctx.proposed.source
    faults = (*_missing_folders(ctx), *_missing_pipelines(ctx), *(_missing_branch(ctx) if touched else ()))
    places = KeyPositions(source)
    return tuple(
        Finding("CFG004", Location(*places.whole(one.at)), f"{dotted(one.at)}: {one.message}", one.hint)
        for one in faults
    )


def _missing_folders(ctx: Context) -> Iterator[ConfigFault]:
    """Folders of stages that nothing runs before, which could have made them."""
    for name, pipeline in ctx.proposed.pipelines.items():
        for number, stage in enumerate(pipeline.stages):
            folder = os.path.normpath(stage.cwd)
            if folder != "." and not stage.needs and folder not in ctx.snapshot.folders:
                yield ConfigFault(
                    ("pipelines", name, "stages", number, "cwd"), f"the tree has no folder {as_toml(stage.cwd)}"
                )


def _missing_pipelines(ctx: Context) -> Iterator[ConfigFault]:
    """Pipelines whose runs are asked for, of a configuration that defines some and not these."""
    config = ctx.proposed
    asked = [*_asked_runs(config), *_signed_runs(config)] if config.pipelines else []
    if not asked:
        return
    from orchgate.runs.pipeline import CODEX_FILE, CODEX_MAX_BYTES, parse_codex

    content = ctx.snapshot.find(CODEX_FILE, CODEX_MAX_BYTES)
    known = {SHIPPED, PROVED, *config.pipelines, *(parse_codex(content) if content is not None else ())}
    for at, name in asked:
        if not any(is_like(one, name) for one in known):
            yield ConfigFault(at, f"nobody defines a pipeline {as_toml(name)}", nearest(name, sorted(known)))


def _asked_runs(config: Config) -> Iterator[tuple[At, str]]:
    if "evidence.required-runs" in config.origins:
        for index, kind in enumerate(config.evidence.required_runs):
            yield ("evidence", "required-runs", index), kind.partition(":")[0]


def _signed_runs(config: Config) -> Iterator[tuple[At, str]]:
    for index, kind in enumerate(config.signatures.required):
        yield ("signatures", "required", index), kind.rpartition(":")[0]


def _missing_branch(ctx: Context) -> Iterator[ConfigFault]:
    name = ctx.proposed.top.default_branch
    if not name or ctx.repository is None:
        return
    refs = ctx.repository.refs
    known = {*refs.local, *(branch for branches in refs.tracking.values() for branch in branches)}
    if known and name not in known:
        yield ConfigFault(("default-branch",), f"there is no branch {as_toml(name)}", nearest(name, sorted(known)))


CHECK = Check(
    "configuration", "the change does not loosen the gate that judges it", RULES, run, order=RunOrder.AFTER_OTHERS
)
