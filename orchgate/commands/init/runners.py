"""Which program runs the hooks of this repository, how it is made to ask the gate, and hooks that are scripts."""

from __future__ import annotations

import os
import sys

from orchgate.commands.init import hook_config, hooks, lefthook, pre_commit
from orchgate.commands.init.edits import Edit, is_executable, read, text
from orchgate.commands.init.hooks import HOOK_TYPES, InTheWay, Place, Plan, each_clone, generated_by, package
from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator


NAMES = ("pre-commit", "prek", "lefthook", "husky", "git")
DEFAULT = "pre-commit"


class Runner(NamedTuple):
    """A runner that is there, what shows it, and whether it asks the gate already."""

    name: str
    shown: str
    wired: bool


def found(place: Place) -> tuple[Runner, ...]:
    """Every runner that this repository is set up for."""
    return tuple(_found(place))


def _found(place: Place) -> Iterator[Runner]:
    if place.has(pre_commit.PREK_FILE):
        yield Runner("prek", pre_commit.PREK_FILE, pre_commit.wired(place, pre_commit.PREK_FILE))
    if place.has(hook_config.FILE):
        yield Runner("pre-commit", hook_config.FILE, pre_commit.wired(place, hook_config.FILE))
    if shown := lefthook.found(place):
        yield Runner("lefthook", shown, lefthook.wired(place))
    if shown := husky(place):
        yield Runner("husky", shown, wired(place, is_husky=True))
    if shown := own(place):
        yield Runner("git", shown, wired(place, is_husky=False))
    yield from (Runner(name, shown, wired=False) for name, shown in _others(place))


def _others(place: Place) -> Iterator[tuple[str, str]]:
    """Runners that we do not set up."""
    says = package(place.root)
    if "simple-git-hooks" in says or any(place.has(one) for one in (".simple-git-hooks.json", ".simple-git-hooks.cjs")):
        yield "simple-git-hooks", "package.json" if "simple-git-hooks" in says else ".simple-git-hooks"
    husky = says.get("husky")
    if isinstance(husky, dict) and "hooks" in husky:
        yield "husky 4", "package.json"
    if place.has(".overcommit.yml"):
        yield "overcommit", ".overcommit.yml"


def chosen(place: Place, wish: str) -> tuple[str, str]:
    """The runner to set up, and what shows that it is there. Raises OrchgateError where nobody can tell."""
    there = found(place)
    if wish:
        shown = next((one.shown for one in there if one.name == wish), "")
        return wish, shown
    # A folder of scripts that `core.hooksPath` names is what git runs; plain hooks are those of any runner's leavings.
    managed = [one for one in there if one.name != "git" or place.hooks_path] or list(there)
    wired = [one for one in managed if one.wired]
    candidates = wired if len(wired) == 1 else managed
    if not candidates:
        return DEFAULT, ""
    if len(candidates) > 1:
        listed = " and ".join(f"{one.name} ({one.shown})" for one in candidates)
        known = [one.name for one in candidates if one.name in NAMES]
        hint = f"orchgate init --runner {known[0]}" if known else ""
        raise OrchgateError(f"there are several hook runners: {listed}; nothing was written", hint)
    only = candidates[0]
    if only.name not in NAMES:
        raise OrchgateError(
            f"{only.name} runs the hooks ({only.shown}), and orchgate does not edit its configuration",
            'let it call `orchgate hook NAME "$@"` for pre-commit, pre-merge-commit, commit-msg and pre-push',
        )
    return only.name, only.shown


def plan(place: Place, name: str, *, published: bool) -> Plan:
    """What has to be done for one runner. Raises OrchgateError."""
    if published and name not in ("pre-commit", "prek"):
        raise UsageError(f"--published is for pre-commit and prek; {name} runs the orchgate on PATH", "orchgate init")
    if name in ("pre-commit", "prek"):
        return pre_commit.plan(place, published=published, prek=name == "prek")
    if name == "lefthook":
        return lefthook.plan(place)
    return plan_scripts(place, is_husky=name == "husky" or owns_hooks(place))


def undo(place: Place) -> Iterator[Edit]:
    """Takes out what any runner was given. Raises OrchgateError."""
    yield from pre_commit.undo(place)
    yield from lefthook.undo(place)
    yield from undo_scripts(place)


# Hooks that are scripts: husky's files, those of a folder that `core.hooksPath` names, and git's own


ASIDE = ".before-orchgate"  # a hook that is no shell script, moved aside and called by ours
_GENERATED_FOLDER = "_"  # husky 9 generates it, and lets git ignore it
_HUSKY = ".husky"


def husky(place: Place) -> str:
    """What shows that husky runs the hooks here; "" for nothing."""
    if owns_hooks(place):
        return f"core.hooksPath = {place.hooks_path}"
    if os.path.isdir(os.path.join(place.root, _HUSKY)):
        return f"{_HUSKY}/"
    found = package(place.root)
    scripts = found.get("scripts")
    prepare = str(scripts.get("prepare", "")) if isinstance(scripts, dict) else ""
    return "package.json (its prepare script)" if "husky" in prepare.split() or "husky install" in prepare else ""


def owns_hooks(place: Place) -> bool:
    """Whether `core.hooksPath` names husky's folder, or the one that it generates."""
    return _HUSKY in place.hooks_path.replace(os.sep, "/").split("/")


def own(place: Place) -> str:
    """What shows that somebody's own scripts are the hooks here, or ours; "" for nothing."""
    if owns_hooks(place):
        return ""
    if place.hooks_path:
        return f"core.hooksPath = {place.hooks_path}"
    there = (hook for hook in HOOK_TYPES if _is_somebodys(place.hook_text(hook)))
    return next((place.shown(os.path.join(place.hooks, hook)) for hook in there), "")


def _is_somebodys(content: str) -> bool:
    return bool(content.strip("\0\ufeff \t\r\n")) and not generated_by(content)


def wired(place: Place, *, is_husky: bool) -> bool:
    """Whether one of the scripts asks the gate."""
    folder = _target(place, is_husky=is_husky)
    return any(hooks.calls(read(os.path.join(folder, hook)) or "", hook) for hook in HOOK_TYPES)


def plan_scripts(place: Place, *, is_husky: bool) -> Plan:
    """One script a hook. Raises InTheWay, OrchgateError."""
    folder = _target(place, is_husky=is_husky)
    _require_ours(place, folder)
    edits: list[Edit] = []
    kept: list[str] = []
    told: list[str] = []
    for hook in HOOK_TYPES:
        fault = _fault(place, folder, hook)
        if fault:
            told.append(f"{place.shown(os.path.join(folder, hook))}: {fault}")
        elif made := list(_edits(place, folder, hook)):
            edits += made
        else:
            kept.append(f"{place.shown(os.path.join(folder, hook))}: it calls orchgate")
    if told:
        raise InTheWay(told)
    return Plan(tuple(edits), kept=tuple(kept), notes=tuple(_notes(place, folder, is_husky=is_husky)))


def _target(place: Place, *, is_husky: bool) -> str:
    """The folder whose files a person edits: git's own, but never the one that husky generates."""
    if not is_husky or _HUSKY not in place.hooks.split(os.sep):
        return os.path.join(place.root, _HUSKY) if is_husky else place.hooks
    generated = os.path.basename(place.hooks) == _GENERATED_FOLDER
    return os.path.dirname(place.hooks) if generated else place.hooks


def _is_git_s(place: Place, folder: str) -> bool:
    return _is_below(folder, place.common_dir)


def _is_below(folder: str, home: str) -> bool:
    return os.path.realpath(folder).startswith(os.path.realpath(home) + os.sep)


def _require_ours(place: Place, folder: str) -> None:
    """Raises OrchgateError for a folder that serves other repositories, too, or that something generates."""
    if _is_git_s(place, folder):
        return
    if not _is_below(folder, place.root):
        raise OrchgateError(
            f"core.hooksPath is {folder}, outside of this repository",
            'call `orchgate hook NAME "$@"` from there, or `git config core.hooksPath .githooks`',
        )
    shown = place.shown(os.path.join(folder, HOOK_TYPES[0])).replace(os.sep, "/")
    if place.repository.git.ignored([shown]):
        raise OrchgateError(
            f"git ignores {os.path.dirname(shown)}, where it looks for hooks: a program seems to generate them",
            'let that program call `orchgate hook NAME "$@"`, or `git config core.hooksPath .githooks`',
        )


def _fault(place: Place, folder: str, hook: str) -> str:
    """Why nothing of ours may be put in a hook's place, and what to do; "" when it may, or is there."""
    path = os.path.join(folder, hook)
    shown = quoted(place.shown(path))
    if not os.path.lexists(path):
        return ""
    if os.path.isdir(path):
        return f"a directory, which git does not run; move it away:\n  mv {shown} {shown}.old"
    if not os.path.exists(path):
        return f"a broken link; remove it:\n  rm {shown}"
    content = read(path)
    if os.path.islink(path):
        called = content is not None and hooks.calls(content, hook) and is_executable(path)
        return "" if called else f'a link; add the line to what it leads to:\n  orchgate hook {hook} "$@" || exit $?'
    if runner := generated_by(content or "") if not hooks.is_ours(content or "x", hook) else "":
        return f"{runner} generates it; to let {runner} call orchgate:\n  orchgate init --runner {runner}"
    runs = is_executable(path) or folder != place.hooks
    if content is not None and hooks.is_ours(content, hook):
        return ""
    if not runs:
        return f"it is not executable, so git does not run it:\n  chmod +x {shown}"
    if not _can_be_read_by_sh(place, folder, content) and os.path.lexists(path + ASIDE):
        return f"no shell script, and {shown}{ASIDE} is taken; move that away"
    return ""


def _can_be_read_by_sh(place: Place, folder: str, content: str | None) -> bool:
    # husky starts its files by `sh`, whatever their first line says.
    return content is not None and "\0" not in content and (folder != place.hooks or hooks.is_shell(content))


def _edits(place: Place, folder: str, hook: str) -> Iterator[Edit]:
    """The changes to one hook; none where it asks the gate already."""
    path = os.path.join(folder, hook)
    shown = place.shown(path)
    before = text(place.root, shown) if not os.path.islink(path) else read(path)
    ours = _is_git_s(place, folder)
    program = _program() if ours else ""
    must_run = folder == place.hooks
    if before is None or hooks.is_ours(before, hook):
        after, about = hooks.whole(hook, program), "" if before is None or not before.strip() else "renewed"
    elif hooks.calls(before, hook) and hooks.without(before) == before:
        return
    elif _can_be_read_by_sh(place, folder, before):
        after, about = hooks.added(before, hook, program), "orchgate first, the rest as it was"
    else:
        yield Edit(shown + ASIDE, None, before, f"what {shown} was", executable=True)
        after, about = _calling_aside(hook, program), f"orchgate first, then {os.path.basename(path)}{ASIDE}"
    if before != after or (must_run and not is_executable(path)):
        yield Edit(shown, before, after, about, executable=must_run or before is None)


def _calling_aside(hook: str, program: str) -> str:
    lines = hooks.whole(hook, program).removesuffix("\n").split("\n")
    shared = hooks.block(hook, program, others=True) if hook == "pre-push" else "\n".join(lines[1:]) + "\n"
    return f'{lines[0]}\n{shared}exec "$(dirname -- "$0")/{hook}{ASIDE}" "$@"\n'


def _notes(place: Place, folder: str, *, is_husky: bool) -> Iterator[str]:
    if is_husky:
        if _HUSKY not in place.hooks.split(os.sep):
            yield "husky is not active in this clone; to activate it: npx husky"
        yield each_clone()
    elif _is_git_s(place, folder):
        yield "git's own hooks are in this clone only"
        yield each_clone("orchgate init --native")
    else:
        yield each_clone(f"git config core.hooksPath {quoted(place.hooks_path)}")


def _program() -> str:
    """Where this orchgate is. Hooks of a desktop program have another PATH."""
    import shutil

    beside = os.path.join(os.path.dirname(sys.executable), "orchgate")
    return beside if os.access(beside, os.X_OK) else shutil.which("orchgate") or "orchgate"


def undo_scripts(place: Place) -> Iterator[Edit]:
    """Takes our lines out of every script, and scripts away that hold nothing else."""
    folders = {place.hooks, os.path.join(place.root, _HUSKY), _target(place, is_husky=bool(husky(place)))}
    for folder in sorted(folders):
        if not _is_below(folder, place.root) and not _is_git_s(place, folder):
            continue
        for hook in HOOK_TYPES:
            path = os.path.join(folder, hook)
            before = None if os.path.islink(path) else read(path)
            if before is None:
                continue
            shown, aside = place.shown(path), path + ASIDE
            if f"{hook}{ASIDE}" in before and os.path.isfile(aside):
                moved = text(place.root, shown + ASIDE)
                yield Edit(shown, before, moved, "as it was", executable=True)
                yield Edit(shown + ASIDE, moved, None)
            elif before.strip() and hooks.is_ours(before, hook):
                yield Edit(shown, before, None)
            elif (rest := hooks.without(before)) != before:
                yield Edit(shown, before, rest if rest.strip() else None, "without orchgate")
