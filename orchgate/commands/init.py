"""`orchgate init`: a configuration, and hooks that ask the gate. Run twice, it changes nothing the second time."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate import __version__, files, process, session
from orchgate.commands import _ignoring
from orchgate.config import load
from orchgate.documents import hook_config
from orchgate.documents.hook_config import HOOK_TYPES
from orchgate.errors import OrchgateError
from orchgate.git.snapshot import WorkTree
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.git.repository import Repository

SUMMARY = "set up this repository: a configuration and the hooks"
CODEX = "codex.orchestrator.json"
MARK = "# written by orchgate init --native"
PRE_COMMIT_MARK = b"pre-commit.com"  # what pre-commit writes into the hooks it installs
MAX_BYTES = 1024 * 1024  # of a file that is looked into
CONFIGURATION = """\
# How strict the gate is. Everything has a default: delete what you do not change.
# `orchgate check --show-config` prints the values in force, `orchgate schema config` all keys.
profile = "{profile}"

[diff-budget]
max-files = 25
max-lines = 800

# [diff-budget.areas.docs]                  # counted apart, with its own limit
# paths = ["docs/**", "tasks/**", "*.md"]
# max-lines = 1500

# [version-bump]
# allow-branches = ["release/*"]            # elsewhere a version stays as it is
"""


class Write(NamedTuple):
    """One file to write; `said` tells what it is about."""

    path: str
    text: str
    said: str
    executable: bool = False


class Plan(NamedTuple):
    """What to write, what to install with pre-commit, and what is there already."""

    writes: tuple[Write, ...]
    install: bool
    present: tuple[str, ...]


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
    parser.add_argument("--native", action="store_true", help="plain git hooks instead of pre-commit's")
    parser.add_argument("--remote", action="store_true", help="let pre-commit install a published orchgate")
    parser.add_argument("--gitignore", action="store_true", help="only let git ignore the folders of recorded runs")


def run(args: argparse.Namespace) -> Verdict:
    with session.opened() as repository:
        if not repository.root:
            raise OrchgateError("a bare repository has no work tree to set up", "run it in a clone")
        if args.gitignore:
            plan = _of([_ignored(repository)], install=False)
        else:
            plan = _plan(repository, native=args.native, remote=args.remote)
        if args.dry_run:
            _tell(_announced(plan))
            return Verdict.PASS
        for write in plan.writes:
            _write(repository.root, write)
            _tell([f"wrote {write.said}"])
        _tell([f"kept {said}" for said in plan.present])
        installed = plan.install and _install(repository)
        _tell(_closing(plan, installed=installed, native=args.native, remote=args.remote))
    return Verdict.PASS


def _tell(lines: Sequence[str] | Iterator[str]) -> None:
    sys.stdout.writelines(escape(line) + "\n" for line in lines)


def _plan(repository: Repository, *, native: bool, remote: bool) -> Plan:
    """Everything that has to be done; nothing is written while it is made. Raises OrchgateError, ConfigError."""
    hooks = _hooks(repository, native=native, remote=remote)
    install = not native and not all(_installed(repository, hook) for hook in HOOK_TYPES)
    return _of((_configuration(repository.root), *hooks, _ignored(repository)), install=install)


def _of(outcomes: Iterable[Write | str], *, install: bool) -> Plan:
    listed = tuple(outcomes)
    writes = tuple(one for one in listed if isinstance(one, Write))
    return Plan(writes, install, tuple(one for one in listed if isinstance(one, str)))


def _ignored(repository: Repository) -> Write | str:
    """What git has to ignore, so that no run is committed by accident."""
    folders = _ignoring.open_folders(repository, load.load_work_tree(repository.root).evidence.roots)
    if not folders:
        return f"{_ignoring.FILE}: the folders of recorded runs are ignored, or tracked on purpose"
    added = ", ".join(f"/{folder}/" for folder in folders)
    return Write(_ignoring.FILE, _ignoring.completed(repository.root, folders), f"{_ignoring.FILE} (added {added})")


def _configuration(root: str) -> Write | str:
    found = load.find(WorkTree(root))
    if found.file:
        load.build(found)
        return f"{found.file}: the configuration is there"
    if os.path.isfile(os.path.join(root, CODEX)):  # it has pipelines of its own, a gate most likely among them
        because = f" (profile codex-orchestrator, because of {CODEX})"
        return Write(load.FILE, CONFIGURATION.format(profile="codex-orchestrator"), load.FILE + because)
    from orchgate.runs import implementation_gate

    gate = implementation_gate.text(implementation_gate.commands(root), measured=False)
    return Write(load.FILE, CONFIGURATION.format(profile="default") + "\n" + gate, load.FILE)


def _hooks(repository: Repository, *, native: bool, remote: bool) -> Iterator[Write | str]:
    if native:
        yield from _native(repository)
    else:
        yield _pre_commit(repository.root, remote=remote)


def _pre_commit(root: str, *, remote: bool) -> Write | str:
    """The change to pre-commit's configuration. Raises OrchgateError, with the lines to paste, for an odd one."""
    entry = hook_config.remote_entry(__version__) if remote else hook_config.LOCAL_ENTRY
    path = os.path.join(root, hook_config.FILE)
    if not os.path.lexists(path):
        return Write(hook_config.FILE, hook_config.new_file(entry), hook_config.FILE)
    text = _read(path)
    if text is not None and hook_config.is_wired(text):
        return _with_message_hook(text, linked=os.path.islink(path))
    changed = None if text is None or os.path.islink(path) else hook_config.with_entry(text, entry)
    if changed is None:
        pasted = "\n".join("  " + line for line in entry)
        _tell([f"{hook_config.FILE}: add this first to its repos, then run orchgate init again:"])
        sys.stdout.write(pasted + "\n")
        raise OrchgateError(
            f"{hook_config.FILE} has a form that orchgate does not change; nothing was written",
            "paste the lines that are printed above",
        )
    return Write(hook_config.FILE, changed, f"{hook_config.FILE} (orchgate first, the rest as it was)")


def _with_message_hook(text: str, *, linked: bool) -> Write | str:
    """The change to a configuration that runs our checks: the hook that reads the message, where it is missing."""
    there = f"{hook_config.FILE}: orchgate is one of its hooks"
    if hook_config.reads_message(text) or linked:
        return there
    changed = hook_config.with_entry(text, hook_config.message_entry(text, __version__))
    return Write(hook_config.FILE, changed, f"{hook_config.FILE} (a hook for the commit message)") if changed else there


def _read(path: str) -> str | None:
    """The text of a file with its line ends; None when it cannot be read as text."""
    try:
        return files.read(path, MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError):
        return None


def _native(repository: Repository) -> Iterator[Write | str]:
    """One script a hook. Raises OrchgateError when a hook of somebody else is in the way."""
    folder = _hooks_folder(repository)
    program = _program()
    foreign: list[str] = []
    outcomes: list[Write | str] = []
    for hook in HOOK_TYPES:
        path = os.path.join(folder, hook)
        script = f'#!/bin/sh\n{MARK}\nexec {program} hook {hook} "$@"\n'
        shown = os.path.relpath(path, repository.root)
        there = _read(path) if os.path.lexists(path) else ""
        if there == script or (there and f"orchgate hook {hook}" in there and MARK not in there):
            outcomes.append(f"{shown}: it asks the gate")
        elif not os.path.islink(path) and (there == "" or (there is not None and MARK in there)):
            outcomes.append(Write(path, script, shown, executable=True))
        else:
            foreign.append(f'{shown}: add the line\n  orchgate hook {hook} "$@" || exit $?')
    if foreign:
        sys.stdout.writelines(line + "\n" for line in foreign)
        raise OrchgateError(
            "there are other hooks already; nothing was written",
            "add the lines that are printed above, or move those hooks away",
        )
    yield from outcomes


def _hooks_folder(repository: Repository) -> str:
    """Where git looks for hooks. Raises OrchgateError when that folder serves other repositories, too."""
    named = os.fsdecode(repository.git("rev-parse", "--git-path", "hooks")).removesuffix("\n")
    folder = os.path.abspath(os.path.join(repository.git.cwd or os.getcwd(), os.path.expanduser(named)))
    common = os.fsdecode(repository.git("rev-parse", "--git-common-dir")).removesuffix("\n")
    homes = (repository.root, os.path.abspath(os.path.join(repository.git.cwd or os.getcwd(), common)))
    if not any(os.path.realpath(folder).startswith(os.path.realpath(home) + os.sep) for home in homes):
        raise OrchgateError(
            f"core.hooksPath is {folder}, outside of this repository",
            f'git config core.hooksPath .githooks, or call orchgate hook NAME "$@" from {folder}',
        )
    return folder


def _program() -> str:
    """How a hook starts this orchgate, quoted for sh. Hooks of a desktop program have another PATH."""
    import shlex
    import shutil

    beside = os.path.join(os.path.dirname(sys.executable), "orchgate")
    return shlex.quote(beside if os.access(beside, os.X_OK) else shutil.which("orchgate") or "orchgate")


def _write(root: str, write: Write) -> None:
    path = os.path.join(root, write.path)
    try:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(write.text)
        if write.executable:
            os.chmod(path, 0o755)  # noqa: S103 -- git runs only executable hooks
    except OSError as error:
        raise OrchgateError(f"cannot write {write.path}: {error.strerror}") from error


def _installed(repository: Repository, hook: str) -> bool:
    """Whether pre-commit's own script stands where git looks for a hook."""
    named = os.fsdecode(repository.git("rev-parse", "--git-path", f"hooks/{hook}")).removesuffix("\n")
    try:
        return PRE_COMMIT_MARK in files.read(os.path.join(repository.git.cwd or os.getcwd(), named), MAX_BYTES)
    except OSError:
        return False


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
    completed = process.run(command, cwd=repository.root, env=os.environ, timeout=120)
    if completed.code != 0:
        said = " ".join(os.fsdecode(completed.stderr + completed.stdout).split())
        hooks_path = "core.hooksPath" in said
        hint = (
            "git config --unset-all core.hooksPath, or orchgate init --native" if hooks_path else "pre-commit install"
        )
        raise OrchgateError(f"pre-commit install failed: {said or completed.code}", hint)
    _tell(["installed the hooks " + ", ".join(HOOK_TYPES)])
    return True


def _announced(plan: Plan) -> Iterator[str]:
    for write in plan.writes:
        yield f"would write {write.said}"
        yield from ("  | " + line for line in write.text.splitlines())
    yield from (f"would keep {said}" for said in plan.present)
    if plan.install:
        command = _install_command()
        yield "would run pre-commit install" if command else "pre-commit is not installed: would not install the hooks"


def _closing(plan: Plan, *, installed: bool, native: bool, remote: bool) -> Iterator[str]:
    import shutil

    if not plan.writes and not plan.install:
        yield "nothing to do: everything is set up"
        return
    if plan.install and not installed:
        yield "pre-commit is not installed; then:"
        yield "  pip install pre-commit && pre-commit install" + "".join(f" --hook-type {hook}" for hook in HOOK_TYPES)
    if not native and not remote and shutil.which("orchgate") is None:
        yield "orchgate is not on your PATH: the hook needs its environment to be active, or --remote"
    tracked = [write.path for write in plan.writes if not write.executable]
    if tracked:
        yield f"next: git add {' '.join(tracked)} && git commit"
