"""Named sets of defaults, `profile = "NAME"`: a file in `layouts/` each, as TOML would give them.

A layout's `SIGNS` are globs of files that only repositories of its kind have. `ONLY_ALONE` says that such files are
found beside those of other layouts, too.
"""

from __future__ import annotations

from orchgate import registry
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

DEFAULT = "default"
NAMES = (DEFAULT, *registry.plugins("layouts"))


def presets(name: object) -> Mapping[str, Any]:
    """What a profile sets, by table; nothing for "default", and for what is no name of one."""
    if name not in NAMES or name == DEFAULT:
        return {}
    found: Mapping[str, Any] = registry.load("layouts", str(name)).LAYOUT
    return found


def recognise(paths: Iterable[str]) -> str:
    """The profile that suits a tree, by the paths of its files: that with most signs, "default" without any."""
    listed = tuple(paths)
    found: list[tuple[bool, int, str]] = []
    for name in registry.plugins("layouts"):
        layout = registry.load("layouts", name)
        signs = tuple(getattr(layout, "SIGNS", ()))
        count = sum(matches(path, signs) for path in listed) if signs else 0
        if count:
            found.append((not getattr(layout, "ONLY_ALONE", False), count, name))
    return max(found)[2] if found else DEFAULT
