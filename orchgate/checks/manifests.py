"""Manifests of recorded runs: readable, whole, free of contradictions, and where they say they are."""

from __future__ import annotations

from functools import partial
from itertools import chain

from orchgate.errors import TooLarge, Unreadable
from orchgate.evidence.rules import LOCK
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity, Trouble
from orchgate.runs import locate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchgate.gate.context import Context
    from orchgate.git.snapshot import Snapshot
    from orchgate.runs.decode import ManifestError

    Content = bytes | ManifestError | Unreadable
    Journal = Callable[[str], bytes | None]  # of a repository path; None for what is not there, raises OrchgateError


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
    parts = [_inspected(ctx, _tracked(ctx, tracked), _tracked_journal(ctx))] if tracked else []
    if beside:
        from orchgate.lib.forks import spread

        parts += spread(lambda paths: _inspected(ctx, _beside(ctx, paths), _journal_beside(ctx)), beside)
    found = chain.from_iterable(part[0] for part in parts)
    findings = sorted(found, key=lambda finding: (finding.location, finding.rule))
    troubles.extend(chain.from_iterable(part[1] for part in parts))
    return Outcome(tuple(findings), {"manifests": len(tracked) + len(beside)}, {}, tuple(troubles))


def _inspected(
    ctx: Context, contents: Iterable[tuple[str, Content]], journal: Journal
) -> tuple[list[Finding], list[Trouble]]:
    from orchgate.runs import inspection  # most changes touch no run

    presence = inspection.Presence(ctx.snapshot, ctx.artifacts)
    around = inspection.Surroundings(
        ctx.config.manifests,
        ctx.snapshot,
        ctx.artifacts,
        presence,
        ctx.root,
        ctx.now,
        journal,
        partial(_is_pinned, ctx),
    )
    findings: list[Finding] = []
    troubles: list[Trouble] = []
    for path, content in contents:
        if isinstance(content, Unreadable):
            troubles.append(_trouble(content))
        else:
            findings.extend(inspection.inspect(around, path, content))
    return findings, troubles


def _is_pinned(ctx: Context, manifest: str) -> bool:
    """Whether the lock pins a manifest together with its journal: whoever has them was asked when they were pinned."""
    if LOCK not in ctx.snapshot.entries:
        return False
    from orchgate.evidence.lock import LockError

    try:
        lock = ctx.lock
    except LockError:  # the evidence check reports it
        return False
    return lock is not None and None not in (lock.get(manifest), lock.get(locate.journal_of(manifest)))


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
    documents, unread = ctx.documents.read(path for path in touched if _is_read(ctx, path))
    troubles.extend(unread)
    for document in documents:
        for path in locate.mentioned(document.text, ctx.artifacts.roots):
            if path in ctx.snapshot.entries or ctx.artifacts.exists(path):
                yield path


def _is_read(ctx: Context, path: str) -> bool:
    config, entry = ctx.config.evidence, ctx.snapshot.entries.get(path)
    chosen = matches(path, config.documents) and not matches(path, config.exclude)
    return chosen and entry is not None and entry.mode not in (SYMLINK, SUBMODULE)


def _again(ctx: Context, base: Snapshot, paths: Iterable[str]) -> Iterator[str]:
    """What to judge of the base: a manifest that the change cites anew is as new as one that it writes."""
    changes = () if ctx.scope.unknown else ctx.scope.changes
    documents, _ = ctx.documents.read(path for path in ctx.touched if _is_read(ctx, path)) if changes else ((), ())
    cited = {path for document in documents for path in locate.mentioned(document.text, ctx.artifacts.roots)}
    for path in paths:
        if path not in cited:
            yield path
    if not cited.isdisjoint(paths):
        old = (change.old_path or change.path for change in changes if change.status != "A")
        yield from (path for path in old if path in base.entries)


def _tracked(ctx: Context, paths: list[str]) -> Iterator[tuple[str, Content]]:
    """Contents from the judged tree, never from disk."""
    from orchgate.runs.decode import Flaw, ManifestError

    odd = {SYMLINK: "is a symbolic link, not a regular file", SUBMODULE: "is a submodule, not a regular file"}
    modes = {path: ctx.snapshot.entries[path].mode for path in paths}
    for path in paths:
        if modes[path] in odd:
            yield path, ManifestError(Flaw.PLACE, odd[modes[path]])
    limit = ctx.config.manifests.max_bytes
    for path, content in ctx.snapshot.read_many([path for path in paths if modes[path] not in odd], limit):
        # Too large is a verdict about the manifest; the other reasons are ours.
        yield path, ManifestError(Flaw.SIZE, str(content)) if isinstance(content, TooLarge) else content


def _beside(ctx: Context, paths: Iterable[str]) -> Iterator[tuple[str, Content]]:
    from orchgate.runs.decode import ManifestError

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


CHECK = Check(
    "manifests",
    "manifests of recorded runs are whole, consistent and where they belong",
    RULES,
    run,
    of_tree=True,
    again=_again,
)
