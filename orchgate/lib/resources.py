"""Finds `schemas/` and `templates/`: inside the installed package, or at the top of a checkout."""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def folder(name: str) -> str:
    """The absolute path of a data folder. Raises OrchgateError when the installation is incomplete."""
    for parent in (_PACKAGE, os.path.dirname(_PACKAGE)):
        path = os.path.join(parent, name)
        if os.path.isdir(path):
            return path
    raise OrchgateError(f"the installation holds no {name}/ folder", "pip install --force-reinstall orchgate")


def read(name: str, file: str) -> str:
    """The text of a data file, such as `read("schemas", "report.json")`. Raises OrchgateError."""
    known = names(name)
    if file not in known:
        raise OrchgateError(f"{name}/ holds no {file}", "there are: " + ", ".join(known))
    try:
        with open(os.path.join(folder(name), file), encoding="utf-8") as stream:
            return stream.read()
    except OSError as error:
        raise OrchgateError(f"{name}/{file}: {error.strerror}") from error


def names(name: str) -> tuple[str, ...]:
    """The files of a data folder, sorted."""
    return tuple(sorted(entry for entry in os.listdir(folder(name)) if not entry.startswith(".")))
