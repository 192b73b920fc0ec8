"""Named sets of defaults, `profile = "NAME"`: a file in `layouts/` each, as TOML would give them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orchgate import registry

if TYPE_CHECKING:
    from collections.abc import Mapping

DEFAULT = "default"
NAMES = (DEFAULT, *registry.plugins("layouts"))


def presets(name: object) -> Mapping[str, Any]:
    """What a profile sets, by table; nothing for "default", and for what is no name of one."""
    if name not in NAMES or name == DEFAULT:
        return {}
    found: Mapping[str, Any] = registry.load("layouts", str(name)).LAYOUT
    return found
