"""Changes an input a little: as bytes, as lines, and as JSON where it is some. Deterministic for a given `chance`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

Way: TypeAlias = "Callable[[bytes, Sequence[bytes], random.Random], bytes]"
LONGEST = 20_000  # bytes of an input
_MANY = (2, 3, 10, 100, 1000)
_ODD: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 2, 10**9, -(10**9), 1 << 63, 10**30, 0.5, -0.0, 1e308, 1e-320, float("nan")),
    *("", " ", "\0", "a\nb", "\ud800", "é", "\x1b[31m", "../..", "/etc/passwd", ".git/config", "succeeded", "failed"),
    *("0" * 40, "f" * 64, "2026-01-06T09-26-22-129Z-c2f9cb47", "2026-02-30T12:00:00Z", "9999-12-31T23:59:59.999Z"),
    *([], {}, [[]], [None], {"": None}, ["a", "a"], {"stage": 1}),
)
_BYTES = (
    *(
        b"\0",
        b"\n",
        b"\r",
        b"\r\n",
        b"\x0c",
        b"\xff",
        b"\xc3",
        b"\xef\xbb\xbf",
        b"\xff\xfe",
        b"\xe2\x80\xa8",
        b"\x18\n",
    ),
    *(b"`", b"```\n", b"~~~", b"<!--", b"-->", b"---\n", b"[", b"](", b"](../", b")", b"|", b"> ", b"- [x] ", b"    "),
    *(b"<!-- orchgate: ignore[EVD001] why -->", b"Evidence: `", b".runs/", b"out/", b"<run-id>", b"#L1-L9", b"{", b"}"),
    *(b'"', b"'", b"\\", b":", b",", b"null", b"true", b"1e999", b"-", b"$", b"$(", b"*", b"**/", b"?", b"!", b"%00"),
    *(b"\x1b[2K", b"\xf0\x9f\x98\x80", b"<", b">", b"</", b"<!DOCTYPE", b"<failure/>", b"=", b"[[", b"]]", b"#", b"@"),
)


def changed(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """An input made from another one, at most LONGEST bytes; `others` lend parts."""
    for _ in range(chance.choice((1, 1, 1, 2, 2, 4, 8))):
        how = chance.choice(WAYS)
        data = how(data, others, chance)[:LONGEST]
    return data


def _span(data: bytes, chance: random.Random) -> tuple[int, int]:
    start = chance.randint(0, len(data))
    return start, min(len(data), start + chance.choice((0, 1, 1, 2, 4, 16, 64, 512)))


def _flip(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    at = chance.randrange(len(data) or 1)
    return data[:at] + bytes([chance.randrange(256)]) + data[at + 1 :]


def _word(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + chance.choice(_BYTES) + data[chance.choice((start, end)) :]


def _cut(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    start, end = _span(data, chance)
    return data[:start] + data[end:] if chance.random() < 0.8 else data[:start]


def _repeat(data: bytes, _: Sequence[bytes], chance: random.Random) -> bytes:
    start, end = _span(data, chance)
    return data[:end] + data[start:end] * chance.choice(_MANY) + data[end:]


def _lend(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    other = chance.choice(others) if others else data
    start, end = _span(other, chance)
    at, to = _span(data, chance)
    return data[:at] + other[start:end] + data[chance.choice((at, to)) :]


def _lines(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    lines = data.split(b"\n")
    at, to = chance.randrange(len(lines)), chance.randrange(len(lines))
    match chance.randrange(5):
        case 0:
            lines[at], lines[to] = lines[to], lines[at]
        case 1:
            del lines[at]
        case 2:
            lines.insert(to, lines[at])
        case 3:
            lines[at : at + 1] = [lines[at]] * chance.choice(_MANY)
        case _:
            lines.insert(to, chance.choice((chance.choice(others) if others else data).split(b"\n")))
    return b"\n".join(lines)


def _structure(data: bytes, others: Sequence[bytes], chance: random.Random) -> bytes:
    """One value changed in a JSON document, or in one line that is one."""
    lines = data.split(b"\n") if chance.random() < 0.5 else [data]
    at = chance.randrange(len(lines))
    try:
        value = json.loads(lines[at])
        lines[at] = json.dumps(_altered(value, chance), indent=chance.choice((None, 2))).encode("utf-8", "replace")
    except (ValueError, RecursionError):
        return _word(data, others, chance)
    return b"\n".join(lines)


def _altered(value: Any, chance: random.Random) -> Any:
    """A copy with a change somewhere in it: the deeper, the likelier."""
    if not isinstance(value, dict | list) or not value or chance.random() < 0.05:
        return chance.choice(_ODD) if chance.random() < 0.7 else _near(value, chance)
    key = chance.choice(list(value)) if isinstance(value, dict) else chance.randrange(len(value))
    made = value.copy()
    what = chance.random()
    if what < 0.1:
        del made[key]
    elif what < 0.2 and isinstance(made, list):
        made.insert(chance.randrange(len(made) + 1), made[key])
    elif what < 0.2:
        made[chance.choice([*value, "other", ""])] = made[key]
    else:
        made[key] = _altered(made[key], chance)
    return made


def _near(value: Any, chance: random.Random) -> Any:
    if isinstance(value, bool) or value is None:
        return not value
    if isinstance(value, int | float):
        return value + chance.choice((-1, 1, 1000) if isinstance(value, int) else (-1, 1, 0.5))
    if isinstance(value, str):
        at = chance.randint(0, len(value))
        return value[:at] + chance.choice(("x", "", " ", "/", ".", "0")) + value[at + chance.randrange(2) :]
    return [value]


WAYS: Sequence[Way] = (
    *(_flip, _word, _word, _cut, _repeat, _lend, _lines, _lines, _structure, _structure, _structure),
)
