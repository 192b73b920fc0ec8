"""Manifests of recorded runs: readable, whole, free of contradictions, and where they say they are."""

from __future__ import annotations

from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from orchgate.errors import OrchgateError, TooLarge, Unreadable, quoted
from orchgate.evidence.rules import LOCK
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.globs import matches
from orchgate.lib.parallel import spread
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity, Trouble
from orchgate.runs import locate
from orchgate.runs.contradictions import contradictions
from orchgate.runs.decode import HINTS, Flaw, ManifestError, dotted, lines_of, parse, shorten
from orchgate.runs.presence import Presence, targets
from orchgate.runs.validate import SCHEMAS, Problem, explain, format_of, is_valid

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchgate.gate.context import Context
    from orchgate.runs.run import Run

    Content = bytes | ManifestError | Unreadable
    Journal = Callable[[str], bytes | None]  # of a repository path; None for what is not there, raises OrchgateError

_NO_JOURNAL = "its journal is missing, and a manifest alone proves nothing"
MOST = 10  # contradictions, or missing files, that one manifest is told about

RULES = (
    Rule(
        "MAN001",
        "manifest cannot be read",
        Severity.ERROR,
        what="The file at a manifest's path is not a JSON object that every reader understands in the same way: it is "
        "too large, nested too deeply, cut off, not UTF-8, contains a key twice or NaN, or is not a file at all.",
        why="Readers disagree about such files: one takes the first of two keys, another the last. Evidence that two "
        "people can read differently is not evidence.",
        bad='{"status": "failed", "status": "succeeded"}',
        good='{"status": "succeeded"}',
    ),
    Rule(
        "MAN002",
        "manifest breaks its schema",
        Severity.ERROR,
        what="A key is missing, unknown or of the wrong type. Three formats are known and recognized by their content: "
        "orchgate's own, and those of codex-orchestrator of January and of June 2026.",
        why="Every other check, the metrics and the reports rely on these keys. A manifest without them was edited, "
        "cut short, or written by a program that orchgate does not know.",
        bad='"exit_code": "0"',
        good='"exit_code": 0',
    ),
    Rule(
        "MAN003",
        "manifest contradicts itself",
        Severity.ERROR,
        what="Two statements of the manifest cannot both be true: a stage succeeded with exit code 1, a run succeeded "
        "although a stage failed, the end is before the start, stages are numbered with gaps or share an id.",
        why="Runners do not write this; manual edits and broken tools do. Whichever half is true, the other one "
        "misleads everybody who relies on the run.",
        bad='"status": "succeeded", "exit_code": 1',
        good='"status": "failed", "exit_code": 1',
    ),
    Rule(
        "MAN004",
        "manifest does not match its path",
        Severity.ERROR,
        what="A manifest's path is <root>/<task>/cli/<run-id>/manifest.json, and its task_id and run_id have to match "
        "it. A run id is the UTC time to the millisecond followed by eight hexadecimal digits.",
        why="Documents cite runs by path. A manifest in another run's folder lets one task claim another's result.",
        bad='.runs/0002-b/cli/<run-id>/manifest.json holding "task_id": "0001-a"',
        good='.runs/0001-a/cli/<run-id>/manifest.json holding "task_id": "0001-a"',
    ),
    Rule(
        "MAN005",
        "manifest points to a missing file",
        Severity.ERROR,
        what="The log or error file of a finished stage, or the manifest of a child run, is neither in the repository "
        "nor on disk. It is a warning for a manifest in git without any of its logs in git.",
        why="The manifest says what happened; only the log shows it. Without the log a reviewer has to take it on "
        "faith.",
        bad='"log_path": ".runs/0001-a/cli/<run-id>/commands/01-build.ndjson" after the folder was cleaned',
        good="the log beside the manifest, deleted only together with it",
    ),
    Rule(
        "MAN006",
        "run was abandoned",
        Severity.WARNING,
        what="The run is recorded as queued or in progress, but its runner has shown no sign of life for longer than "
        "the manifest itself allows, at most manifests.abandoned-after-minutes. A run that is still alive is not "
        "reported.",
        why="The runner was killed, so nobody knows how the run would have ended. It proves nothing, and the evidence "
        "check refuses documents that cite it.",
        bad='"status": "in_progress", "heartbeat_at": "<three days ago>"',
        good='"status": "cancelled", "completed_at": "<when it was>"',
    ),
    Rule(
        "MAN007",
        "manifest contradicts its journal",
        Severity.ERROR,
        what="A manifest of orchgate's own format differs from what its journal, `events.jsonl` beside it, adds up to, "
        "or the journal is missing or unreadable. A journal that the evidence lock pins together with its manifest may "
        "be stored elsewhere. Manifests of other formats have no journal.",
        why="The journal is written as things happen, and the manifest is derived from it. A manifest that says "
        "something else was edited, and is evidence of nothing.",
        bad="failed changed into succeeded in manifest.json, and events.jsonl left as it was",
        good="both files as the run left them; in git, both or none",
    ),
)


def run(ctx: Context) -> Outcome:
    troubles: list[Trouble] = []
    tracked, beside = _selected(ctx, troubles)
    parts = [_judge_all(ctx, _tracked(ctx, tracked), _tracked_journal(ctx))] if tracked else []
    if beside:
        parts += spread(lambda paths: _judge_all(ctx, _beside(ctx, paths), _journal_beside(ctx)), beside)
    found = _without_pinned(ctx, chain.from_iterable(part[0] for part in parts))
    findings = sorted(found, key=lambda finding: (finding.location, finding.rule))
    troubles.extend(chain.from_iterable(part[1] for part in parts))
    return Outcome(tuple(findings), {"manifests": len(tracked) + len(beside)}, {}, tuple(troubles))


def _judge_all(
    ctx: Context, contents: Iterable[tuple[str, Content]], journal: Journal
) -> tuple[list[Finding], list[Trouble]]:
    presence = Presence(ctx.snapshot, ctx.artifacts)
    findings: list[Finding] = []
    troubles: list[Trouble] = []
    for path, content in contents:
        if isinstance(content, Unreadable):
            troubles.append(_trouble(content))
        else:
            findings.extend(_judge(ctx, presence, path, content, journal))
    return findings, troubles


def _selected(ctx: Context, troubles: list[Trouble]) -> tuple[list[str], list[str]]:
    """Manifests to judge: those of the judged tree, and those only on disk."""
    roots = ctx.artifacts.roots
    found: Iterable[str]
    if ctx.scope.whole_tree:
        found = chain(
            (path for path in ctx.snapshot.entries if locate.place_of(path, roots)),
            locate.on_disk(ctx.artifacts, lambda error: troubles.append(_trouble(error))),
        )
    else:
        touched = [change.path for change in ctx.scope.require_changes() if not change.deleted]
        found = chain((path for path in touched if locate.place_of(path, roots)), _cited(ctx, touched, troubles))
    every = dict.fromkeys(found)
    tracked = [path for path in every if path in ctx.snapshot.entries]
    return tracked, [path for path in every if path not in ctx.snapshot.entries]


def _cited(ctx: Context, touched: Iterable[str], troubles: list[Trouble]) -> Iterator[str]:
    """Manifests that documents of the change name and that are really there; the evidence check misses the others."""
    config = ctx.config.evidence
    wanted = [path for path in touched if matches(path, config.documents) and not matches(path, config.exclude)]
    entries = ctx.snapshot.entries
    documents, unread = ctx.documents.read(
        path for path in wanted if path in entries and entries[path].mode not in (SYMLINK, SUBMODULE)
    )
    troubles.extend(unread)
    for document in documents:
        for path in locate.mentioned(document.text, ctx.artifacts.roots):
            if path in ctx.snapshot.entries or ctx.artifacts.exists(path):
                yield path


def _tracked(ctx: Context, paths: list[str]) -> Iterator[tuple[str, Content]]:
    """Contents from the judged tree, never from disk."""
    odd = {SYMLINK: "is a symbolic link, not a file", SUBMODULE: "is a submodule, not a file"}
    modes = {path: ctx.snapshot.entries[path].mode for path in paths}
    for path in paths:
        if modes[path] in odd:
            yield path, ManifestError(Flaw.PLACE, odd[modes[path]])
    limit = ctx.config.manifests.max_bytes
    for path, content in ctx.snapshot.read_many([path for path in paths if modes[path] not in odd], limit):
        # Too large is a verdict about the manifest; the other reasons are ours.
        yield path, ManifestError(Flaw.SIZE, str(content)) if isinstance(content, TooLarge) else content


def _beside(ctx: Context, paths: Iterable[str]) -> Iterator[tuple[str, Content]]:
    for path in paths:
        try:
            yield path, locate.read_file(ctx.artifacts.full(path), ctx.config.manifests.max_bytes)
        except ManifestError as error:
            yield path, error
        except Unreadable as error:
            yield path, Unreadable(path, error.message, error.hint)


def _tracked_journal(ctx: Context) -> Journal:
    """A manifest in git is derived from the journal in git: what a clone has to judge it by."""
    return lambda path: ctx.snapshot.find(path, locate.MAX_JOURNAL_BYTES)


def _journal_beside(ctx: Context) -> Journal:
    def read(path: str) -> bytes | None:
        there = ctx.artifacts.on_disk(path)
        return locate.read_file(ctx.artifacts.full(path), locate.MAX_JOURNAL_BYTES) if there else None

    return read


def _trouble(error: Unreadable) -> Trouble:
    return Trouble(Location(error.path), error.message, error.hint)


def _judge(
    ctx: Context, presence: Presence, path: str, content: bytes | ManifestError, journal: Journal
) -> Iterator[Finding]:
    if isinstance(content, ManifestError):
        yield Finding("MAN001", Location(path), content.message, content.hint)
        return
    limits = ctx.config.manifests
    try:
        document = parse(content, limits.max_bytes, limits.max_depth)
    except ManifestError as error:
        yield Finding("MAN001", Location(path, error.line), error.message, error.hint)
        return
    kind = format_of(document)
    if not kind:
        yield Finding("MAN002", Location(path), "is in no known format", 'it has neither "format" nor "runner"')
        return
    if not is_valid(document, kind):
        hint = f"orchgate schema {SCHEMAS[kind].removesuffix('.json')}"
        yield from _located("MAN002", path, content, [explain(document, kind)], hint)
        return
    from orchgate.runs.run import checked  # most changes touch no run

    try:
        recorded = checked(document, path)
    except ManifestError as error:
        yield Finding("MAN002", Location(path), error.message, error.hint)
        return
    yield from _judge_run(ctx, presence, recorded, content)
    yield from _against_journal(path, content, document, journal)


def _judge_run(ctx: Context, presence: Presence, run: Run, content: bytes) -> Iterator[Finding]:
    if wrong := list(islice(contradictions(run), MOST)):
        yield from _located("MAN003", run.path, content, wrong, HINTS[Flaw.SCHEMA])
    if strays := list(_strays(run, ctx.artifacts.roots)):
        hint = f"keep a run in the folder it was recorded in: …/{shorten(run.task_id)}/cli/{shorten(run.run_id)}/"
        yield from _located("MAN004", run.path, content, strays, hint)
    if lost := list(islice(_lost(presence, run), MOST)):
        severity, hint = _weigh(ctx, presence, run)
        for finding in _located("MAN005", run.path, content, lost, hint):
            yield finding._replace(severity=severity)
    if not run.finished and (problem := _abandoned(ctx, run)):
        own = run.format == "orchgate"
        hint = f"orchgate resume {quoted(run.run_id)}" if own else f"delete {run.folder}, or let its runner finish it"
        yield from _located("MAN006", run.path, content, [problem], hint)


def _against_journal(path: str, content: bytes, document: dict[str, Any], journal: Journal) -> Iterator[Finding]:
    ours = locate.is_derived(document)
    try:
        data = journal(locate.journal_of(path))
    except OrchgateError as error:
        if ours:
            yield Finding("MAN007", Location(path), f"its journal {error.message}", error.hint)
        return
    if not ours and (data is None or not data.startswith(locate.BEGINNING)):
        return
    from orchgate.runs import derivation  # most changes cite no run of ours

    if not ours:
        yield Finding("MAN007", Location(path), derivation.NOT_OURS, HINTS[Flaw.SCHEMA])
    elif data is None:
        yield Finding("MAN007", Location(path), _NO_JOURNAL, f"restore {locate.journal_of(path)}")
    elif problem := derivation.difference(document, data):
        yield from _located("MAN007", path, content, [problem], HINTS[Flaw.SCHEMA])


def _without_pinned(ctx: Context, found: Iterable[Finding]) -> Iterator[Finding]:
    """The findings but for missing journals that the lock pins: whoever has them has been asked already."""
    findings = list(found)
    missing = {one.location.path for one in findings if one.rule == "MAN007" and one.message == _NO_JOURNAL}
    pinned = _pinned_journals(ctx, missing) if missing and LOCK in ctx.snapshot.entries else frozenset()
    return (one for one in findings if one.message != _NO_JOURNAL or one.location.path not in pinned)


def _pinned_journals(ctx: Context, manifests: Iterable[str]) -> frozenset[str]:
    from orchgate.evidence.lock import LockError, of

    try:
        lock = of(ctx.snapshot)
    except LockError:  # the evidence check says so
        return frozenset()
    return frozenset(path for path in manifests if lock and lock.get(path) and lock.get(locate.journal_of(path)))


def _located(rule: str, path: str, content: bytes, problems: list[Problem], hint: str) -> Iterator[Finding]:
    """Problems as findings on the line of what they blame."""
    lines = lines_of(content, [problem.path for problem in problems])
    for problem in problems:
        where = shorten(dotted(problem.path))
        message = f"{where}: {problem.message}" if where else problem.message
        yield Finding(rule, Location(path, lines.get(problem.path, 0)), message, hint)


def _strays(run: Run, roots: tuple[str, ...]) -> Iterator[Problem]:
    place = locate.place_of(run.path, roots)
    if place is None:
        return
    if run.task_id != place.task:
        yield Problem(("task_id",), f'"{shorten(run.task_id)}" in the folder of task "{shorten(place.task)}"')
    if run.run_id != place.run_id:
        yield Problem(("run_id",), f'"{shorten(run.run_id)}" in the folder of run "{shorten(place.run_id)}"')
    if not locate.RUN_ID.fullmatch(run.run_id):
        yield Problem(("run_id",), f'"{shorten(run.run_id)}" is not a time and eight hexadecimal digits')


def _lost(presence: Presence, run: Run) -> Iterator[Problem]:
    """Recorded paths that lead nowhere. A stage that has not ended may not have written its files yet."""
    folder = run.folder
    for position, stage in enumerate(run.stages):
        if not stage.finished:
            continue
        for key, recorded in (("log_path", stage.log_path), ("error_file", stage.error_file)):
            if recorded and (message := _missing(presence, run, folder, recorded)):
                yield Problem(("commands", position, key), message)
    for position, child in enumerate(run.child_runs):
        if message := _missing(presence, run, folder, child.manifest):
            yield Problem(("child_runs", position, "manifest"), message)


def _missing(presence: Presence, run: Run, folder: str, recorded: str) -> str:
    meant = targets(run, folder, recorded)
    if any(presence.exists(path) for path in meant):
        return ""
    return f"{shorten(recorded, 200)} {'does not exist' if meant else 'is outside the repository'}"


def _weigh(ctx: Context, presence: Presence, run: Run) -> tuple[Severity | None, str]:
    """A tracked manifest whose logs were never tracked is the author's choice, to be seen but not to be blocked."""
    if run.path in ctx.snapshot.entries and not any(
        presence.has_folder(f"{run.folder}/{name}") for name in ("commands", "stages")
    ):
        return Severity.WARNING, f"git add -f {quoted(run.folder)}"
    return None, "restore the file, or run the pipeline again"


def _abandoned(ctx: Context, run: Run) -> Problem | None:
    from orchgate.runs.liveness import silence

    most = ctx.config.manifests.abandoned_after_minutes * 60
    quiet = silence(run, ctx.artifacts.full(run.folder) if ctx.root else "", ctx.now)
    if quiet is None or -most <= quiet.total_seconds() <= min(most, run.heartbeat_stale_after_seconds or most):
        return None
    last = (ctx.now - quiet).isoformat(timespec="seconds")
    if quiet.total_seconds() < 0:
        return Problem(("status",), f"{run.status}, but its last sign of life, {last}, is in the future")
    return Problem(("status",), f"{run.status}, but abandoned since {last}")


CHECK = Check("manifests", "manifests of recorded runs are whole, consistent and where they belong", RULES, run)
