"""Looks into checks/, outputs/, commands/, layouts/ and measures/: a file is a plug-in, its name is its id.

So is a package, where a command has several files: its `command.py` is what the command line asks for.
"""

from __future__ import annotations

import os
from functools import lru_cache

from orchgate.errors import UsageError
from orchgate.lib import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Check, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


@lru_cache(maxsize=8)
def plugins(folder: str) -> tuple[str, ...]:
    """Ids of the plug-ins in a folder of the package, sorted; nothing is imported."""
    names = os.listdir(os.path.join(_PACKAGE, folder))
    files = (name[:-3] for name in names if name.endswith(".py") and name[0] != "_")
    packages = (name for name in names if "." not in name and _is_package(folder, name))
    return tuple(sorted(name.replace("_", "-") for name in (*files, *packages)))


def _is_package(folder: str, name: str) -> bool:
    return os.path.exists(os.path.join(_PACKAGE, folder, name, "command.py"))


def check_ids() -> tuple[str, ...]:
    return plugins("checks")


def load(folder: str, name: str) -> ModuleType:
    """The module of one plug-in. Raises UsageError, which names the nearest id."""
    known = plugins(folder)
    if name not in known:
        hint = "orchgate --help" if folder == "commands" else ""
        raise UsageError(f"unknown {folder.removesuffix('s')} {name[:80]}; {nearest(name, known)}", hint)
    module = name.replace("-", "_")
    return lazy.module(f"orchgate.{folder}.{module}{'.command' if _is_package(folder, module) else ''}")


def command_summary(name: str) -> str:
    """What a command is for, in a line."""
    module = name.replace("-", "_")
    return summary(f"orchgate.commands.{module}{'.command' if _is_package('commands', module) else ''}")


def summary(module: str) -> str:
    """The SUMMARY of a module of ours. It is read, not imported: `--help` needs those of all commands."""
    path = os.path.join(os.path.dirname(_PACKAGE), *module.split(".")) + ".py"
    try:
        with open(path, encoding="utf-8") as file:
            found = next((line for line in file if line.startswith('SUMMARY = "')), "")
    except OSError:  # it is there in another form, such as compiled
        found = ""
    text = found.removeprefix('SUMMARY = "').rstrip("\n").removesuffix('"')
    return text if found and "\\" not in text else str(lazy.module(module).SUMMARY)


def load_check(name: str) -> Check:
    check = load("checks", name).CHECK
    assert isinstance(check, Check)
    return check


def checks(names: Iterable[str] = ()) -> tuple[Check, ...]:
    """The named checks, or all of them. Raises UsageError."""
    return tuple(load_check(name) for name in (tuple(dict.fromkeys(names)) or check_ids()))


def rules() -> Mapping[str, tuple[str, Rule]]:
    """The rules of all checks by id, with the id of the check. Imports every check."""
    return {rule.id: (check.id, rule) for check in checks() for rule in check.rules}


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint that names the likeliest of the known ids, or all of them."""
    import difflib

    options = tuple(known)
    near = difflib.get_close_matches(name, options, n=1, cutoff=0.6)
    return f"did you mean {near[0]}?" if near else "there are: " + ", ".join(options)
