"""In what the tools of two runs differ, in words: what may explain that one tree has two results."""

from __future__ import annotations

from orchgate.lib.text import clip
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.runs.run import Tool

LISTED = 8  # tools in a sentence
_SHOWN = 60  # characters of a name or a version
_DIGEST = 12  # digits of a digest


def differences(before: Iterable[Tool], after: Iterable[Tool]) -> tuple[str, ...]:
    """Each tool that is known to be another one after than before, by name: `node 20.11.0 → 22.1.0`.

    Nothing of a tool that only one side knows: its stage may have been answered from the cache, or not been reached.
    """
    old, new = _by_name(before), _by_name(after)
    return tuple(
        words for name in sorted(old.keys() & new.keys()) if (words := _difference(name, old[name], new[name]))
    )


def sentence(found: Sequence[str]) -> str:
    """Differences on one line; of very many, the first ones."""
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return ", ".join(found[:LISTED]) + more


def words_of(tool: Tool) -> str:
    """A tool and what is known of it."""
    name = clip(tool.name, _SHOWN)
    if tool.source == "shim":
        return f"{name} (version not known: a shim chooses it)"
    version = f" {clip(tool.version, _SHOWN)}" if tool.version else ""
    return f"{name}{version}{f' (sha256 {_digest(tool)})' if tool.sha256 else ''}"


def _by_name(tools: Iterable[Tool]) -> dict[str, list[Tool]]:
    found: dict[str, list[Tool]] = {}
    for tool in tools:
        found.setdefault(tool.name, []).append(tool)
    return found


def _difference(name: str, old: Sequence[Tool], new: Sequence[Tool]) -> str:
    """How the tools of one name differ; "" for not, and where that is not known."""
    shown = clip(name, _SHOWN)
    old_versions, new_versions = _versions(old), _versions(new)
    if old_versions and new_versions and old_versions != new_versions:
        return f"{shown} {' and '.join(old_versions)} → {' and '.join(new_versions)}"
    if bool(old_versions) == bool(new_versions) and (changed := _other_files(old, new)):
        return f"{' '.join([shown, *old_versions])}: another file (sha256 {changed})"
    return ""


def _versions(tools: Sequence[Tool]) -> list[str]:
    """The versions of all of them; none where one is not known."""
    versions = {clip(tool.version or "", _SHOWN) for tool in tools}
    return [] if "" in versions else sorted(versions)


def _other_files(old: Sequence[Tool], new: Sequence[Tool]) -> str:
    """The digests of both sides where they differ; "" where one is not known, or they are of different things."""
    if {tool.source for tool in old} != {tool.source for tool in new}:
        return ""
    before, after = (list(_digests(tools)) for tools in (old, new))
    return f"{' and '.join(before)} → {' and '.join(after)}" if all(before + after) and before != after else ""


def _digests(tools: Sequence[Tool]) -> Iterator[str]:
    yield from sorted({_digest(tool) for tool in tools})


def _digest(tool: Tool) -> str:
    return (tool.sha256 or "")[:_DIGEST]
