"""Looks into checks/, outputs/ and commands/: a file is a plug-in, its name is its id."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING

from orchgate.errors import UsageError
from orchgate.model import Check, Rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from types import ModuleType

_PACKAGE = os.path.dirname(os.path.abspath(__file__))


def plugins(folder: str) -> tuple[str, ...]:
    """Ids of the plug-ins in a folder of the package, sorted; nothing is imported."""
    files = os.listdir(os.path.join(_PACKAGE, folder))
    return tuple(sorted(file[:-3].replace("_", "-") for file in files if file.endswith(".py") and file[0] != "_"))


def check_ids() -> tuple[str, ...]:
    return plugins("checks")


def load(folder: str, name: str) -> ModuleType:
    """The module of one plug-in. Raises UsageError, which names the nearest id."""
    known = plugins(folder)
    if name not in known:
        raise UsageError(f"{name!r} is not one of the {folder}", nearest(name, known))
    return importlib.import_module(f"orchgate.{folder}.{name.replace('-', '_')}")


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
