"""Which program runs the hooks of this repository, and what has to be done to let it ask the gate."""

from __future__ import annotations

from orchgate.commands.init import hook_config, lefthook, pre_commit, scripts
from orchgate.commands.init.place import package
from orchgate.errors import OrchgateError, UsageError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.commands.init.edits import Edit
    from orchgate.commands.init.place import Place, Plan

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
    if shown := scripts.husky(place):
        yield Runner("husky", shown, scripts.wired(place, is_husky=True))
    if shown := scripts.own(place):
        yield Runner("git", shown, scripts.wired(place, is_husky=False))
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
    return scripts.plan(place, is_husky=name == "husky" or scripts.owns_hooks(place))


def undo(place: Place) -> Iterator[Edit]:
    """Takes out what any runner was given. Raises OrchgateError."""
    yield from pre_commit.undo(place)
    yield from lefthook.undo(place)
    yield from scripts.undo(place)
