"""The commands of an action plan run as they stand: none waits for a person, none names what does not exist."""

from __future__ import annotations

from orchgate.config.keys import FEWER, GLOBS, MORE, REFUSED, SEEN, TEXTS, key
from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Check, Outcome, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orchgate.gate.context import Context
    from orchgate.model import Change
    from orchgate.plan_commands.definitions import Definitions

# Files that define names, with the kind of name.
DEFINING = {
    "package.json": "script",
    "Makefile": "target",
    "makefile": "target",
    "GNUmakefile": "target",
    "noxfile.py": "session",
    ".pre-commit-config.yaml": "hook",
    "codex.orchestrator.json": "codex-pipeline",
}

ALLOW = "commands.allow in the configuration: globs on the whole command line, also for those inside a code block"

RULES = (
    Rule(
        "CMD001",
        "would ask a question",
        Severity.ERROR,
        what="A command in a step section of an action plan opens an editor or a pager, asks for confirmation, opens a "
        "prompt, or never ends. `sudo` without `-n` is a warning, because it asks only on some machines.",
        why="Plans are carried out by agents, by CI and by people who paste whole blocks. A command that waits for an "
        "answer hangs until a timeout, and the run it belongs to is lost.",
        bad="`git commit` · `npm init` · `apt-get install jq` · `docker run -it image` · `tail -f app.log`",
        good="`git commit -m 'docs: plan'` · `npm init --yes` · `apt-get install -y jq` · `tail -n 100 app.log`",
        exceptions=(ALLOW,),
    ),
    Rule(
        "CMD002",
        "names a script, target or pipeline that does not exist",
        Severity.ERROR,
        what="A command names an npm script, a make target, a nox session, a pre-commit hook or a pipeline that the "
        "file which should define it does not define. Names that may come from elsewhere (an include, a workspace, "
        "another folder) are left alone.",
        why="A plan whose steps cannot be run was never run. Such names are typos, or left over from a script that was "
        "renamed.",
        bad="`npm run lnit` where package.json defines lint",
        good="`npm run lint`",
        exceptions=(ALLOW,),
    ),
)


class Steps(NamedTuple):
    sections: tuple[str, ...] = key(
        TEXTS,
        ("Concrete Steps", "Validation", "Validation and Acceptance", "Steps", "Commands"),
        "sections of the action plan whose commands are checked",
        SEEN,
        FEWER,
        governs=("CMD",),
    )
    interactive: tuple[str, ...] = key(
        TEXTS, (), "more programs that ask questions", REFUSED, FEWER, governs=("CMD001",)
    )
    allow: tuple[str, ...] = key(
        GLOBS, (), "commands that are fine as they are, as globs", REFUSED, MORE, governs=("CMD",)
    )


def run(ctx: Context) -> Outcome:
    plans = _plans(ctx)
    touched = [] if ctx.scope.whole_tree else [change for change in ctx.scope.require_changes() if _may_take(change)]
    if not plans and not touched:
        return Outcome((), {"documents": 0, "commands": 0})
    documents, unread = ctx.documents.read(plans)
    from orchgate.packets.sections import ranges_titled

    titles = ctx.config.of(Steps).sections
    if not touched and not any(ranges_titled(document, titles) for document in documents):
        return Outcome((), {"documents": len(documents), "commands": 0}, troubles=tuple(unread))
    from orchgate.plan_commands.checker import CommandChecker

    checker = CommandChecker(ctx.config.of(Steps), _definitions(ctx))
    findings = [finding for document in documents for finding in checker.findings(document)]
    gone = _taken_away(ctx, touched)
    others, unread_too = ctx.documents.read(_naming(ctx, gone, plans))
    findings.extend(finding for document in others for finding in checker.findings_about_removed(document, gone))
    examined = {"documents": len(documents) + len(others), "commands": checker.commands}
    troubles = (*unread, *unread_too, *checker.troubles.values())
    return Outcome(tuple(dict.fromkeys(findings)), examined, troubles=troubles)


def _definitions(ctx: Context) -> Definitions:
    from orchgate.config.entries import SHIPPED
    from orchgate.plan_commands.definitions import Definitions

    return Definitions(ctx.snapshot, (*ctx.proposed.pipelines, SHIPPED))


def _plans(ctx: Context) -> list[str]:
    """Action plans that the change writes; all active ones for the whole tree."""
    if ctx.scope.whole_tree:
        return _active(ctx, ctx.snapshot.entries)
    return _action_plans(ctx, ctx.touched)


def _action_plans(ctx: Context, paths: Iterable[str]) -> list[str]:
    places = ctx.packets.layout.documents_among(paths)
    plans = dict.fromkeys(place.path for place in places if place.kind == "action-plan")
    entries = ctx.snapshot.entries
    return [path for path in plans if path in entries and entries[path].mode != SUBMODULE]


def _active(ctx: Context, paths: Iterable[str]) -> list[str]:
    """Action plans among the paths, without those whose packets the task list calls inactive."""
    plans = _action_plans(ctx, paths)
    if not plans:
        return []
    from orchgate.packets.tasks import normal_status

    owners = ctx.packets.owners
    inactive = {normal_status(status) for status in ctx.config.documents.status.inactive}
    statuses = {
        path: [packet.entry.status if packet.entry else "" for packet in owners.get(path, ())] for path in plans
    }
    return [path for path in plans if not statuses[path] or not inactive.issuperset(statuses[path])]


def _may_take(change: Change) -> bool:
    """Whether a change may take names away that untouched plans use."""
    return change.status != "A" and (change.old_path or change.path).rpartition("/")[2] in DEFINING


def _taken_away(ctx: Context, touched: list[Change]) -> frozenset[tuple[str, str]]:
    """(kind, name) of what files of the base defined and no longer do; unreadable ones take nothing away."""
    from orchgate.plan_commands.definitions import Definitions

    before, after = Definitions(ctx.base), Definitions(ctx.snapshot)
    gone: set[tuple[str, str]] = set()
    for change in touched:
        old, new = change.old_path or change.path, "" if change.deleted else change.path
        kind = DEFINING[old.rpartition("/")[2]]
        gone |= {(kind, name) for name in _names(before, kind, old) - _names(after, kind, new)}
    return frozenset(gone)


def _names(definitions: Definitions, kind: str, path: str) -> frozenset[str]:
    try:
        return frozenset(definitions.names(kind, path).defined) if path else frozenset()
    except Unreadable:
        return frozenset()


def _naming(ctx: Context, gone: frozenset[tuple[str, str]], seen: list[str]) -> list[str]:
    """Plans the change does not touch that mention one of the names."""
    mentioning = ctx.snapshot.mentioning({name for _, name in gone}) if gone else frozenset()
    return _active(ctx, sorted(mentioning.difference(seen)))


def suggest(ctx: Context) -> Callable[[tuple[str, ...]], str]:
    """Finds better hints."""
    return _definitions(ctx).suggest


CHECK = Check(
    "commands",
    "commands of action plans run unattended and name what exists",
    RULES,
    run,
    suggest=suggest,
    keys=Steps,
    of_tree=True,
    in_documents=True,
)
