"""Reads the small part of YAML that front matter is written in. Never raises: what it does not know is text."""

from __future__ import annotations

import re

from orchgate.patterns import lazy

_KEY = lazy(r"([^\s:#'\"\[\]{}-][^:#]*?)[ \t]*:(?:[ \t]+(.*))?$")
_QUOTED = lazy(r"(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^']|'')*)')[ \t]*(?:#.*)?$")
_REMARK = lazy(r"(?:^|(?<=[ \t]))#.*")
_BLOCK = lazy(r"[|>][+-]?\d?[ \t]*(?:#.*)?$")


def parse(block: str) -> dict[str, str | list[str]]:
    """Top-level keys with text or a list of texts; nested tables are left out, a key without value is empty text."""
    values: dict[str, str | list[str]] = {}
    key, folded = "", False
    for line in block.split("\n")[1:-1]:
        stripped = line.strip()
        if not stripped or (stripped[0] == "#" and not folded):
            continue
        match = None if line[0] in " \t" else _KEY.match(line)
        if match:
            key, raw = match[1], (match[2] or "").strip()
            folded = bool(_BLOCK.match(raw))
            values[key] = "" if folded else _value(raw)
        elif key:
            _continue(values, key, stripped, folded, line[0] in " \t")
    return values


def _continue(values: dict[str, str | list[str]], key: str, stripped: str, folded: bool, indented: bool) -> None:
    value = values[key]
    if folded and isinstance(value, str):
        values[key] = f"{value} {stripped}" if value else stripped
    elif stripped.startswith("- ") or stripped == "-":
        item = scalar(stripped[1:].strip())
        if isinstance(value, list):
            value.append(item)
        elif not value:
            values[key] = [item]
    elif indented and isinstance(value, str) and value:
        values[key] = f"{value} {scalar(stripped)}"


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
