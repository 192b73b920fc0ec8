"""Reads the small part of YAML that front matter is written in. Never raises: what it does not know is text."""

from __future__ import annotations

import re
from typing import NamedTuple

from orchgate.lib.patterns import lazy

_KEY = lazy(r"([^\s:#'\"\[\]{}-][^:#]*?)[ \t]*:(?:[ \t]+(.*))?$")
_QUOTED = lazy(r"(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^']|'')*)')[ \t]*(?:#.*)?$")
_REMARK = lazy(r"(?:^|(?<=[ \t]))#.*")
_BLOCK = lazy(r"[|>][+-]?\d?[ \t]*(?:#.*)?$")


class _Entry(NamedTuple):
    """The lines of a text, or the items of a list."""

    parts: list[str]
    listed: bool = False


def parse(block: str) -> dict[str, str | list[str]]:
    """Top-level keys with text or a list of texts; nested tables are left out, a key without value is empty text."""
    entries: dict[str, _Entry] = {}
    key, folded = "", False
    for line in block.split("\n")[1:-1]:
        stripped = line.strip()
        if not stripped or (stripped[0] == "#" and not folded):
            continue
        match = None if line[0] in " \t" else _KEY.match(line)
        if match:
            key, raw = match[1], (match[2] or "").strip()
            folded = bool(_BLOCK.match(raw))
            entries[key] = _Entry([]) if folded else _entry(_value(raw))
        elif key:
            entries[key] = _continued(entries[key], stripped, folded, line[0] in " \t")
    return {key: entry.parts if entry.listed else " ".join(entry.parts) for key, entry in entries.items()}


def _entry(value: str | list[str]) -> _Entry:
    return _Entry(value, listed=True) if isinstance(value, list) else _Entry([value] if value else [])


def _continued(entry: _Entry, stripped: str, folded: bool, indented: bool) -> _Entry:
    """The entry with one more line; its parts grow in place."""
    if folded and not entry.listed:
        entry.parts.append(stripped)
    elif stripped.startswith("- ") or stripped == "-":
        if entry.listed or not entry.parts:
            entry.parts.append(scalar(stripped[1:].strip()))
            return _Entry(entry.parts, listed=True)
    elif indented and not entry.listed and entry.parts:
        entry.parts.append(scalar(stripped))
    return entry


def _value(raw: str) -> str | list[str]:
    if raw.startswith("["):
        inner, closed, _ = _REMARK.sub("", raw[1:]).rpartition("]")
        if closed:
            return [scalar(part.strip()) for part in inner.split(",") if part.strip()]
    return scalar(raw)


def scalar(raw: str) -> str:
    match = _QUOTED.match(raw)
    if match is None:
        return _REMARK.sub("", raw).strip() if "#" in raw else raw
    if match[2] is not None:
        return match[2].replace("''", "'")
    return re.sub(r'\\(["\\/])', r"\1", match[1]).replace("\\n", "\n").replace("\\t", "\t")
