"""`orchgate init`: a configuration, and hooks that ask the gate. Run twice, it changes nothing the second time."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate import __version__
from orchgate.commands.init import files, hook_config, hooks
from orchgate.commands.init.files import Write
from orchgate.commands.init.hook_config import HOOK_TYPES
from orchgate.commands.shared import gitignore
from orchgate.commands.shared.options import Renamed
from orchgate.config import load
from orchgate.errors import OrchgateError
from orchgate.gate import session
from orchgate.lib import locks, process
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.commands.shared.options import Parser
    from orchgate.config.settings import Config
    from orchgate.git.repository import Repository

SUMMARY = "set up this repository: a configuration and the hooks"
ABOUT = """\
Without options, writes orchgate.toml and .pre-commit-config.yaml, adds the
folders of recorded runs to .gitignore, and lets pre-commit install its hooks.
What is there already stays as it is."""
EXAMPLES = ("orchgate init --dry-run", "orchgate init --native")
EXIT_CODES = {0: "set up, now or before", 3: "something is in the way; nothing was written"}


class SetupPlan(NamedTuple):
    """What to write, what to install with pre-commit, and what is there already."""

    writes: tuple[Write, ...]
    install: bool
    present: tuple[str, ...]


def arguments(parser: Parser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--native", action="store_true", help="plain git hooks instead of pre-commit's")
    what = "let pre-commit install a published orchgate, instead of running the one on PATH"
    parser.add_argument("--published", action="store_true", help=what)
    parser.old_names = {"--remote": Renamed("--published")}
    parser.add_argument("--gitignore", action="store_true", help="only let git ignore the folders of recorded runs")


def run(args: argparse.Namespace) -> Verdict:
    with session.opened() as repository:
        if not repository.root:
            raise OrchgateError("a bare repository has no work tree to set up", "run it in a clone")
        if args.dry_run:
            _tell(_announced(_plan(repository, args)))
            return Verdict.PASS
        with locks.held(repository.root, "init", "orchgate init"):
            plan = _plan(repository, args)
            for write in plan.writes:
                files.write(repository.root, write)
                _tell([f"wrote {write.said}"])
            _tell([f"kept {said}" for said in plan.present])
            installed = plan.install and _install(repository)
        _tell(_closing(plan, installed=installed, native=args.native, remote=args.published))
    return Verdict.PASS


def _tell(lines: Sequence[str] | Iterator[str]) -> None:
    sys.stdout.writelines(escape(line) + "\n" for line in lines)


def _plan(repository: Repository, args: argparse.Namespace) -> SetupPlan:
    """Everything that has to be done; nothing is written while it is made. Raises OrchgateError, ConfigError."""
    if args.gitignore:
        return _of([_ignored(repository, load.load_work_tree(repository.root))], install=False)
    configuration = files.configuration(repository.root)
    changed = _hooks(repository, native=args.native, remote=args.published)
    install = not args.native and not all(hooks.is_installed(repository, hook) for hook in HOOK_TYPES)
    config = files.settings(repository.root, configuration)
    return _of((configuration, *changed, _ignored(repository, config)), install=install)


def _of(outcomes: Iterable[Write | str], *, install: bool) -> SetupPlan:
    listed = tuple(outcomes)
    writes = tuple(one for one in listed if isinstance(one, Write))
    return SetupPlan(writes, install, tuple(one for one in listed if isinstance(one, str)))


def _ignored(repository: Repository, config: Config) -> Write | str:
    """What git has to ignore, so that no run is committed by accident."""
    folders = gitignore.open_folders(repository, config.evidence.roots)
    if not folders:
        return f"{gitignore.FILE}: the folders of recorded runs are ignored, or tracked on purpose"
    added = ", ".join(f"/{folder}/" for folder in folders)
    text = gitignore.completed(repository.root, folders)
    return files.planned(repository.root, gitignore.FILE, text, f"added {added}")


def _hooks(repository: Repository, *, native: bool, remote: bool) -> list[Write | str]:
    """The changes to the hooks, or to pre-commit's configuration. Raises OrchgateError, with the lines to paste."""
    if native:
        try:
            return hooks.native(repository)
        except hooks.InTheWay as error:
            sys.stdout.writelines(line + "\n" for line in error.told)
            raise
    entry = hook_config.remote_entry(__version__) if remote else hook_config.LOCAL_ENTRY
    outcome = files.pre_commit(repository.root, entry, __version__)
    if outcome is not None:
        return [outcome]
    pasted = "\n".join("  " + line for line in entry)
    _tell([f"{hook_config.FILE}: add this first to its repos, then run `orchgate init` again:"])
    sys.stdout.write(pasted + "\n")
    raise OrchgateError(
        f"{hook_config.FILE} has a form that orchgate does not change; nothing was written",
        "paste the lines that are printed above",
    )


def _install_command() -> tuple[str, ...]:
    """pre-commit's own command; () when pre-commit is not here."""
    import importlib.util
    import shutil

    options = [option for hook in HOOK_TYPES for option in ("--hook-type", hook)]
    beside = os.path.join(os.path.dirname(sys.executable), "pre-commit")
    program = beside if os.access(beside, os.X_OK) else shutil.which("pre-commit")
    if program:
        return (program, "install", *options)
    importable = importlib.util.find_spec("pre_commit") is not None
    return (sys.executable, "-P", "-m", "pre_commit", "install", *options) if importable else ()


def _install(repository: Repository) -> bool:
    """Lets pre-commit install its hooks. False when it is not here; raises OrchgateError when it fails."""
    command = _install_command()
    if not command:
        return False
    hooks.clear(repository)
    completed = process.run(command, cwd=repository.root, env=os.environ, timeout=120)
    if completed.code != 0:
        said = " ".join(os.fsdecode(completed.stderr + completed.stdout).split())
        hooks_path = "core.hooksPath" in said
        hint = "orchgate init --native" if hooks_path else "pre-commit install"
        raise OrchgateError(f"pre-commit install failed: {said or completed.code}", hint)
    _tell(["installed the hooks " + ", ".join(HOOK_TYPES)])
    return True


def _announced(plan: SetupPlan) -> Iterator[str]:
    for write in plan.writes:
        yield f"would write {write.said}"
        yield from ("  | " + line for line in write.text.splitlines())
    yield from (f"would keep {said}" for said in plan.present)
    if plan.install:
        command = _install_command()
        yield "would run pre-commit install" if command else "pre-commit is not installed: would not install the hooks"


def _closing(plan: SetupPlan, *, installed: bool, native: bool, remote: bool) -> Iterator[str]:
    import shutil

    if not plan.writes and not plan.install:
        yield "nothing to do: everything is set up"
        return
    if plan.install and not installed:
        yield "pre-commit is not installed; then:"
        yield "  pip install pre-commit && pre-commit install" + "".join(f" --hook-type {hook}" for hook in HOOK_TYPES)
    if not native and not remote and shutil.which("orchgate") is None:
        yield "`orchgate` is not on your PATH: activate its environment before you commit, or use --published"
    tracked = [write.path for write in plan.writes if not write.executable]
    if tracked:
        yield f"next: git add {' '.join(tracked)} && git commit"
