"""Code changes come with a spec: does the task behind this change have one, and is it fresh?"""

from __future__ import annotations

from orchgate.config.keys import FEWER, GLOBS, MORE, REFUSED, SEEN, key
from orchgate.config.names import BRANCHES
from orchgate.errors import quoted
from orchgate.gate.releases import RELEASE_BRANCHES, is_manifest, released
from orchgate.lib.paths import matches
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Check, Finding, Location, Outcome, Rule, Severity
from orchgate.packets.catalog import changed_entries
from orchgate.packets.progress import KEY, date_of, last_review, packets_named_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.gate.context import Context
    from orchgate.model import Change, Trouble
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import Packet

SPECS = ("tech-spec", "mini-spec")
TRAILER = "task"

RULES = (
    Rule(
        "SPC001",
        "code changed and the task has no fresh spec",
        Severity.ERROR,
        what="The change touches code (`specs.paths`), and no task that it names has a TECH_SPEC or a mini-spec in the "
        "tree. A change names a task by a document of its packet or its entry in the task list, by its branch, or by a "
        "`Task:` trailer; that some task is in progress is not enough. The spec may have landed earlier. Its "
        "`last_review` counts only when this change edits the spec. Conflicts that a merge resolves, reverts, fixups, "
        "releases, and branches of `specs.allow-branches` need no task: a note says so. Files that only list "
        "dependencies are no code.",
        why="A spec written after the code only describes the code, and a change that names no task cannot be held to "
        "any. Asking for the spec in the same diff, or at a fixed age, would make people touch files for the gate.",
        bad="src/start.py changes on branch fix-start, and no commit says `Task: 0007-faster-start`",
        good="src/start.py changes on branch 0007-faster-start, and docs/TECH_SPEC-faster-start.md is in the tree",
    ),
)


class Code(NamedTuple):
    paths: tuple[str, ...] = key(
        GLOBS,
        (),
        "code that needs a task's spec, as globs; none: the check has nothing to do",
        SEEN,
        FEWER,
        governs=("SPC",),
        was="specs.code",
    )
    exclude: tuple[str, ...] = key(
        GLOBS, (), "code that needs none, as globs", SEEN, MORE, governs=("SPC",), was="specs.exempt", common=True
    )
    allow_branches: tuple[str, ...] = key(
        BRANCHES,
        ("dependabot/**", "renovate/**", RELEASE_BRANCHES),
        "branches whose changes need no task, as globs",
        REFUSED,
        MORE,
        governs=("SPC",),
    )


class _Behind(NamedTuple):
    """The packets of the tasks that a change names, and by what. `names` are tasks named without a packet."""

    packets: tuple[Packet, ...] = ()
    by: str = ""
    names: tuple[str, ...] = ()
    partly: bool = False  # named only by commits that merges brought along


def run(ctx: Context) -> Outcome:
    """Judges the change; there is nothing to do where no code is configured."""
    if not ctx.config.of(Code).paths:
        return Outcome(examined={"code files": 0}, facts={"off": "no specs.paths"})
    changes = ctx.scope.require_changes()
    code = _code(ctx, changes)
    if not code:
        return Outcome(examined={"code files": 0})
    known, troubles = ctx.packets, ctx.packets.troubles
    behind = _behind(ctx, known, changes)
    parts = [(behind, code)]
    if uncovered := _uncovered(ctx, behind):
        covered = [path for path in code if path not in uncovered]
        parts = [(_Behind(), uncovered), *([(behind, covered)] if covered else [])]
    findings: list[Finding] = []
    specs: list[str] = []
    for named, paths in parts:
        own = _specs(named.packets)
        specs += own
        if own:
            stale, unread = _stale(ctx, own, changes)
            findings += stale
            troubles = (*troubles, *unread)
        elif named.packets or not troubles:  # otherwise nobody knows which task it is: the trouble says so
            findings.append(_missing(ctx, known, named, paths))
    return Outcome(tuple(findings), {"code files": len(code), "specs": len(specs)}, troubles=troubles)


def _code(ctx: Context, changes: Iterable[Change]) -> list[str]:
    """The paths of changed code. What lists dependencies is none unless it is named: a bot's update has no task."""
    return [change.path for change in changes if any(_is_code(ctx, path) for path in _paths(change))]


def _paths(change: Change) -> tuple[str, ...]:
    return (change.path, change.old_path) if change.old_path else (change.path,)


def _is_code(ctx: Context, path: str) -> bool:
    code = ctx.config.of(Code)
    if not matches(path, code.paths) or matches(path, code.exclude):
        return False
    return path in code.paths or not is_manifest(path)


def _specs(packets: Iterable[Packet]) -> list[str]:
    found = (packet.documents[kind] for packet in packets for kind in SPECS if kind in packet.documents)
    return list(dict.fromkeys(found))


def _behind(ctx: Context, known: Packets, changes: tuple[Change, ...]) -> _Behind:
    """The tasks that a change names: by the first of its ways whose task has a spec, else by the first one."""
    named = [found for found in _ways(ctx, known, changes) if found.packets or found.names]
    return next((found for found in named if _specs(found.packets)), named[0] if named else _Behind())


def _ways(ctx: Context, known: Packets, changes: tuple[Change, ...]) -> Iterator[_Behind]:
    """What a change names its tasks by: documents, branch, trailers."""
    yield _by_documents(ctx, known, changes)
    yield _Behind(packets_named_in(ctx.branch, known.all), f"branch {ctx.branch}")
    if reasons := ctx.exceptions.reasons(TRAILER):
        values = tuple(reason.text for reason in reasons)
        found = tuple(packet for value in values for packet in packets_named_in(value, known.all))
        yield _Behind(found, f"trailer Task: {values[0]}", values, partly=bool(reasons[0].merge))


def _by_documents(ctx: Context, known: Packets, changes: tuple[Change, ...]) -> _Behind:
    paths = [path for change in changes for path in _paths(change)]
    places = list(known.layout.documents_among(paths))
    entries = changed_entries(known, ctx.base) if known.settings.task_index in paths else ()
    if not places and not entries:
        return _Behind()
    touched = {name for place in places for name in (place.task, place.slug) if name}
    own = known.of({place.path for place in places}, entries)
    if not own:  # what the change touches is gone; others of its packet may be left
        own = tuple(packet for packet in known.all if not touched.isdisjoint(packet.names))
    return _Behind(own, "the documents of this change", tuple(sorted(touched)))


def _uncovered(ctx: Context, behind: _Behind) -> list[str]:
    """Changed code that is no part of the merges whose commits name a task, where no other commit does."""
    if not behind.partly:
        return []
    return _code(ctx, (change for part in ctx.exceptions.rest(TRAILER) for change in part.changes))


def _stale(ctx: Context, specs: list[str], changes: tuple[Change, ...]) -> tuple[list[Finding], tuple[Trouble, ...]]:
    """Findings for specs that this change edits and leaves with an old review; none as long as one of them is fresh."""
    edited = {change.path for change in changes if not change.deleted and (change.status != "R" or change.added)}
    documents, troubles = ctx.documents.read([path for path in specs if path in edited])
    limit = ctx.config.review.spec_max_age_days
    findings: list[Finding] = []
    for document in documents:
        value = last_review(document)
        reviewed = date_of(value) if value else None
        if reviewed is None:
            return [], tuple(troubles)  # no date claims nothing; a wrong one is DOC007's
        age = (ctx.today - reviewed).days
        if age <= limit:
            return [], tuple(troubles)
        message = f"the spec of the changed code was last reviewed {age} days ago (limit {limit})"
        hint = f"review it, then set {KEY}: {ctx.today.isoformat()}"
        findings.append(Finding("SPC001", document.location(document.text.index(KEY)), message, hint))
    return findings, tuple(troubles)


def _missing(ctx: Context, known: Packets, behind: _Behind, code: list[str]) -> Finding:
    changed, where = f"{counted(len(code), 'code file')} changed", Location(code[0])
    if not behind.packets and (why := _needs_none(ctx, known)):
        return Finding("SPC001", where, f"{changed} without a task: {why}", severity=Severity.NOTE)
    if behind.packets:
        packet = behind.packets[0]
        path = known.layout.path("tech-spec", slug=packet.slug or packet.name, task=packet.name)
        message = f"{changed}, but task {packet.name} (named by {behind.by}) has no TECH_SPEC or mini-spec"
        hint = f"write {path}, or start a whole packet with `orchgate new`"
        hint = hint if path else "documents.paths.tech-spec names no place for one"
    elif behind.names:
        message = f"{changed}, but task {behind.names[0]} (named by {behind.by}) has no packet"
        hint = f"orchgate new {quoted(behind.names[0])}"
    else:
        message = f"cannot tell which task this change belongs to ({changed})"
        hint = "name the task in the branch or in a commit trailer `Task: …`, or start one with `orchgate new`"
    return Finding("SPC001", where, message, hint, excuse=TRAILER.capitalize())


def _needs_none(ctx: Context, known: Packets) -> str:
    """Why a change that names no task needs none; "" where it does."""
    code = ctx.config.of(Code)
    if ctx.branch and matches(ctx.branch, code.allow_branches):
        return f"branch {ctx.branch} needs none"
    if ctx.scope.kind == "staged" and ctx.scope.beside:
        return "a merge, whose branches were judged when they were made"
    if why := ctx.exceptions.follow_up:
        return why
    if released(ctx, ctx.config.tables.named("version-bump")):
        return "a release"
    asked = not ctx.config.origins.get("specs.paths", "").startswith("profile")
    if asked or known.has_tasks or any(map(known.has_documents, (ctx.snapshot, ctx.base))):
        return ""
    return "this repository has no packets yet"


CHECK = Check("specs", "changed code has a spec that was reviewed recently", RULES, run, excusable=True, keys=Code)
