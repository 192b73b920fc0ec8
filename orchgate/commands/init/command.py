"""`orchgate init`: looks at what is there, and fits in. Run twice, it changes nothing the second time."""

from __future__ import annotations

import json
import os
import sys

from orchgate.commands.init import agents, ci, edits, pre_commit, runners
from orchgate.commands.init import hooks as places
from orchgate.commands.init.edits import Edit, is_executable
from orchgate.commands.init.hooks import GENERATED, HOOK_TYPES, InTheWay, Plan
from orchgate.commands.shared import options, work_tree
from orchgate.commands.shared.options import Renamed
from orchgate.config import source
from orchgate.errors import OrchgateError, UsageError
from orchgate.lib import files, locks, process
from orchgate.lib.files import sha256_hex
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchgate.commands.init.hooks import InstallHooks, Place
    from orchgate.commands.shared.command_line import Parser
    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository


SUMMARY = "set up this repository: a configuration and the hooks"
ABOUT = """\
Without options, looks which hook runner is there (pre-commit, prek, lefthook,
husky, a folder of scripts, git's own hooks; where there is none, pre-commit)
and lets it ask the gate; writes an orchgate.toml with limits that fit the last
200 commits; and lets git ignore the folders of recorded runs. What is there
already stays as it is. Everything is worked out before anything is written."""
EXAMPLES = (
    "orchgate init --dry-run",
    'orchgate init --measure "make test"',
    "orchgate init --runner husky",
    "orchgate init --agent claude",
    "orchgate init --remove",
)
EXIT_CODES = {0: "set up, now or before", 3: "something is in the way; nothing was written"}
VERSION = 1
_INSTALL_SECONDS = 120


def arguments(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="print the changes as a diff, and make none")
    parser.add_argument("--remove", action="store_true", help="take out again what init added, and nothing else")
    parser.add_argument("--runner", choices=runners.NAMES, default="", help="the hook runner to set up")
    parser.add_argument("--native", action="store_true", help="scripts that git runs itself: --runner git")
    what = "let pre-commit install a published orchgate, instead of running the one on PATH"
    parser.add_argument("--published", action="store_true", help=what)
    what = "also measure before each push: COMMAND, or the tests that are recognised here"
    parser.add_argument("--measure", nargs="?", const="", metavar="COMMAND", help=what)
    parser.add_argument("--ci", choices=ci.NAMES, default="", help="also add a job that asks the gate in CI")
    what = "only stop a coding agent at the end of its turn until the gate passes, and tell it what that takes"
    parser.add_argument("--agent", choices=agents.NAMES, default="", help=what)
    parser.old_names = {"--remote": Renamed("--published")}
    parser.add_argument("--gitignore", action="store_true", help="only let git ignore the folders of recorded runs")
    options.output_format(parser, "setup")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.gate import session

    with session.opened() as repository:
        if not repository.root:
            raise OrchgateError("a bare repository has no work tree to set up", "run it in a clone")
        place = places.of(repository)
        if args.native:
            if args.runner not in ("", "git"):
                raise UsageError("--native is --runner git", f"orchgate init --runner {args.runner}")
            args.runner = "git"
        tell = _tell if args.output_format == "text" else lambda _: None
        try:
            if args.dry_run:
                plan = _plan(place, args)
                tell(_announcement(place, plan))
            else:
                with locks.held(repository.root, "init", "orchgate init"):
                    plan = _plan(place, args)
                    _perform(place, plan, args, tell)
        except InTheWay as error:
            tell(error.told)
            raise
        if args.output_format == "json":
            work_tree.print_json(_document(place, plan, args))
    return Verdict.PASS


def _document(place: Place, plan: Plan, args: argparse.Namespace) -> dict[str, object]:
    from orchgate.outputs._document import headed

    install = plan.install
    facts = {
        "written": bool(plan.edits) and not args.dry_run,
        "changes": [{"path": one.path, "action": _verb(one), "about": one.about or None} for one in plan.edits],
        "kept": list(plan.kept),
        "install_command": install.line if install else None,
        "installed": bool(install and install.command) and not args.dry_run,
        "found": list(plan.found),
        "notes": list(plan.notes),
        "diff": [line for whole in edits.diff(place.root, plan.edits) for line in whole.split("\n")]
        if args.dry_run
        else [],
    }
    return headed("setup", facts, VERSION)


def _tell(lines: Iterable[str]) -> None:
    sys.stdout.writelines(escape(line) + "\n" for whole in lines for line in whole.split("\n"))


def _plan(place: Place, args: argparse.Namespace) -> Plan:
    """Everything that has to be done; nothing is written while it is made. Raises OrchgateError, ConfigError."""
    if args.remove:
        plan = removal(place)
    elif args.gitignore:
        from orchgate.config import load

        plan = _merged([_ignored(place.repository, load.load_work_tree(place.root))])
    elif args.agent:
        plan = _merged(agents.plan(place, args.agent))
    else:
        plan = _setup(place, args)
    hooks = (
        [Edit(place.shown(os.path.join(place.hooks, hook)), None, "") for hook in HOOK_TYPES] if plan.install else []
    )
    edits.require_writable(place.root, (*plan.edits, *hooks))
    return plan


def _setup(place: Place, args: argparse.Namespace) -> Plan:
    from orchgate.commands.init import configuration

    name, shown = runners.chosen(place, args.runner)
    hooks = runners.plan(place, name, published=args.published)
    there = configuration.is_there(place.root)
    proposed = configuration.Proposal() if there else configuration.proposed_for(place.repository)
    written = configuration.planned(place.root, proposed)
    settings = configuration.settings(place.root, written)
    if args.measure is not None:
        written = configuration.with_pipeline(place.root, written, settings, args.measure)
    ignored = _ignored(place.repository, settings)
    job = [ci.plan(place, args.ci)] if args.ci else []
    because = f"{name} runs the hooks ({shown})" if shown else f"hooks go to {name}"
    plan = _merged([written, *hooks.edits, *hooks.kept, ignored, *job])
    lacking = configuration.lacking(place.root) if args.measure == "" and not settings.performance.pipeline else ""
    notes = (*hooks.notes, *filter(None, [lacking]), *(() if args.ci else ci.advice(place)))
    return plan._replace(install=hooks.install, notes=notes, found=(because, *proposed.told))


def _merged(outcomes: Iterable[Edit | str]) -> Plan:
    listed = tuple(outcomes)
    made = tuple(one for one in listed if isinstance(one, Edit))
    return Plan(made, kept=tuple(one for one in listed if isinstance(one, str)))


def _ignored(repository: Repository, config: Config) -> Edit | str:
    """What git has to ignore, so that no run is committed by accident."""
    from orchgate.commands.shared import work_tree

    folders = work_tree.unignored_folders(repository, config.evidence.roots)
    if not folders:
        return f"{work_tree.GITIGNORE}: the folders of recorded runs are ignored, or tracked on purpose"
    added = ", ".join(f"/{folder}/" for folder in folders)
    is_link = os.path.islink(os.path.join(repository.root, work_tree.GITIGNORE))
    before = edits.text(repository.root, work_tree.GITIGNORE) if not is_link else None
    return Edit(work_tree.GITIGNORE, before, work_tree.completed_gitignore(repository.root, folders), f"added {added}")


def _announcement(place: Place, plan: Plan) -> Iterator[str]:
    yield from plan.found
    yield from (f"would {_verb(edit)} {edit.said}" for edit in plan.edits)
    yield from (f"would keep {said}" for said in plan.kept)
    if plan.install:
        runner = plan.install.line.partition(" ")[0]
        yield (
            f"would run {plan.install.line}"
            if plan.install.command
            else f"{runner} is not installed: would not install the hooks"
        )
    yield from edits.diff(place.root, plan.edits)


def _verb(edit: Edit) -> str:
    return "remove" if edit.after is None else "write"


def _perform(place: Place, plan: Plan, args: argparse.Namespace, tell: Callable[[Iterable[str]], None]) -> None:
    tell(plan.found)
    if plan.edits and not args.remove:
        record_edits(place.repository, plan.edits)
    with edits.applied(place.root, plan.edits):
        if plan.install and plan.install.command:
            _install(place, plan.install)
    if args.remove:
        forget_edits(place.repository)
    tell(f"{'removed' if edit.after is None else 'wrote'} {edit.said}" for edit in plan.edits)
    tell(f"kept {said}" for said in plan.kept)
    if plan.install and plan.install.command:
        tell(["installed the hooks " + ", ".join(HOOK_TYPES)])
    tell(_closing(place, plan, args))


def _install(place: Place, install: InstallHooks) -> None:
    """Lets a runner install its hooks, and puts on record what that changes. Raises OrchgateError when it fails."""
    before = _hook_texts(place)
    for path in pre_commit.broken_hooks(place):
        os.unlink(path)
    completed = process.run(install.command, cwd=place.root, env=os.environ, timeout=_INSTALL_SECONDS)
    if completed.code != 0:
        said = " ".join(os.fsdecode(completed.stderr + completed.stdout).split())
        raise OrchgateError(f"{install.line.partition(' ')[0]} install failed: {said or completed.code}", install.line)
    after = _hook_texts(place)
    changed = [path for path in {**before, **after} if before.get(path) != after.get(path)]
    record_edits(place.repository, (Edit(path, before.get(path), after.get(path)) for path in sorted(changed)))


def _hook_texts(place: Place) -> dict[str, str]:
    """The scripts in the folder where git looks for hooks, by path."""
    names = sorted(os.listdir(place.hooks)) if os.path.isdir(place.hooks) else []
    found = ((name, edits.read(os.path.join(place.hooks, name))) for name in names if not name.endswith(".sample"))
    return {place.shown(os.path.join(place.hooks, name)): content for name, content in found if content is not None}


def _closing(place: Place, plan: Plan, args: argparse.Namespace) -> Iterator[str]:
    import shutil

    if not plan.edits and not plan.install:
        yield "nothing to do: orchgate is not set up here" if args.remove else "nothing to do: everything is set up"
        return
    if args.remove:
        yield from plan.notes
        return
    if plan.install and not plan.install.command:
        runner = plan.install.line.partition(" ")[0]
        yield f"{runner} is not installed here; once it is:\n  {plan.install.line}"
    if not args.published and not args.gitignore and shutil.which("orchgate") is None:
        yield "`orchgate` is not on your PATH: activate its environment before you commit, or use --published"
    yield from plan.notes
    tracked = [edit.path for edit in plan.edits if not _is_in_git(place, edit.path)]
    if tracked:
        yield f"next: git add {' '.join(tracked)} && git commit"


def _is_in_git(place: Place, path: str) -> bool:
    """Whether a path lies in the git folder, where nothing is committed."""
    common = os.path.realpath(place.common_dir) + os.sep
    return os.path.realpath(os.path.join(place.root, path)).startswith(common)


# What `orchgate init` found when it changed a file, kept in the git folder, so that `--remove` gives it back.
#
# A colleague's clone has no such record: there, what was added is recognised in the files themselves.


_FILE = os.path.join("orchgate", "init.json")
_MAX_BYTES = 8 * 1024 * 1024


class Was(NamedTuple):
    """A file before `init` changed it (None: not there), and the digest of what it made of it."""

    before: str | None
    after: str
    executable: bool


def recorded(repository: Repository) -> dict[str, Was]:
    """What is on record, by path; nothing where the record cannot be read."""
    try:
        found = json.loads(files.read(os.path.join(repository.git_dir, _FILE), _MAX_BYTES))
        return {str(path): Was(*entry) for path, entry in found["files"].items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def record_edits(repository: Repository, edits: Iterable[Edit]) -> None:
    """Puts edits on record, before they are made. Raises WriteError."""
    known = recorded(repository)
    for edit in edits:
        earlier = known.get(edit.path)
        ours = earlier is not None and edit.before is not None and earlier.after == sha256_hex(edit.before)
        start = earlier.before if earlier is not None and ours else edit.before
        runs = earlier.executable if earlier is not None and ours else _runs(repository, edit.path)
        known[edit.path] = Was(start, sha256_hex(edit.after or ""), runs)
    _put(repository, known)


def forget_edits(repository: Repository) -> None:
    if os.path.exists(os.path.join(repository.git_dir, _FILE)):
        os.unlink(os.path.join(repository.git_dir, _FILE))


def _runs(repository: Repository, path: str) -> bool:
    return is_executable(os.path.join(repository.root, path))


def _put(repository: Repository, known: Mapping[str, Was]) -> None:
    path = os.path.join(repository.git_dir, _FILE)
    whole = {"format": "orchgate-init", "version": 1, "files": {name: list(was) for name, was in known.items()}}
    files.make_folders(os.path.dirname(path))
    files.replace(path, json.dumps(whole, indent=1, sort_keys=True).encode("ascii"))


def removal(place: Place) -> Plan:
    """What `--remove` does: what was there before comes back; where no record says what that was, our lines go.

    Raises OrchgateError.
    """
    restored = list(_recorded(place))
    done = {edit.path for edit in restored}
    others = [edit for edit in (*runners.undo(place), *ci.undo(place), *agents.undo(place)) if edit.path not in done]
    made = [*restored, *others]
    made += [edit for edit in _orphans(place, made) if edit.path not in {one.path for one in made}]
    return Plan(tuple(made), notes=tuple(_notes(place, made)))


def _recorded(place: Place) -> Iterator[Edit]:
    """Files that are still as `init` left them, as they were before."""
    for path, was in sorted(recorded(place.repository).items()):
        now = edits.read(os.path.join(place.root, path))
        if now is not None and sha256_hex(now) == was.after and now != was.before:
            yield Edit(path, now, was.before, "as it was" if was.before is not None else "", executable=was.executable)


def _orphans(place: Place, made: Sequence[Edit]) -> Iterator[Edit]:
    """Scripts of a runner whose configuration goes: they would refuse every commit."""
    gone = {edit.path for edit in made if edit.after is None}
    for runner, named in (
        ("pre-commit", (".pre-commit-config.yaml",)),
        ("prek", ("prek.toml", ".pre-commit-config.yaml")),
    ):
        if not gone.intersection(named) or any(place.has(file) and file not in gone for file in named):
            continue
        for hook in HOOK_TYPES:
            content = place.hook_text(hook)
            if GENERATED[runner] in content:
                yield Edit(place.shown(os.path.join(place.hooks, hook)), content, None)


def _notes(place: Place, made: Sequence[Edit]) -> Iterator[str]:
    if place.has(source.FILE) and source.FILE not in {edit.path for edit in made}:
        yield f"{source.FILE} stays: it was there before, or somebody changed it since"
