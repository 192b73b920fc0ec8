"""Python packages installed from the developer's work tree: both sides of a comparison would run that one's code."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_FACTS = "direct_url.json"  # PEP 610
_MOST_BYTES = 64 * 1024


def warnings(root: str, environ: Mapping[str, str]) -> Iterator[str]:
    """A line for each package that the active virtual environment has from a folder at or below `root`. No errors."""
    venv = environ.get("VIRTUAL_ENV")
    for package, folder in _editable(venv) if venv else ():
        if f"{os.path.realpath(folder)}/".startswith(f"{os.path.realpath(root)}/"):
            yield (
                f"{package} is installed from this work tree ({venv}): Python may run its code on both sides; "
                "performance.prepare can install each side's own"
            )


def _editable(venv: str) -> Iterator[tuple[str, str]]:
    """Name and version of each package that is used from a folder, and that folder."""
    for packages in _packages(os.path.join(venv, "lib")):
        with contextlib.suppress(OSError):
            for name in sorted(os.listdir(packages)):
                if name.endswith(".dist-info") and (folder := _source(os.path.join(packages, name, _FACTS))):
                    yield name.removesuffix(".dist-info"), folder


def _packages(lib: str) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for name in sorted(os.listdir(lib)):
            if name.startswith("python"):
                yield os.path.join(lib, name, "site-packages")


def _source(facts: str) -> str:
    """The folder an editable package comes from; "" for any other."""
    import json
    from urllib.parse import unquote

    try:
        with open(facts, encoding="utf-8") as file:
            found = json.loads(file.read(_MOST_BYTES))
        url, editable = found["url"], found.get("dir_info", {}).get("editable")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return ""
    return unquote(url.removeprefix("file://")) if editable is True and str(url).startswith("file://") else ""
