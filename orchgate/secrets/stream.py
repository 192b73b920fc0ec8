"""The output of a program on its way to where it is kept: with the name of a form in place of each secret.

Whole lines pass at once. Memory is bounded: of a line without end the beginning passes before the rest is there.
"""

from __future__ import annotations

from orchgate.lib.patterns import lazy
from orchgate.secrets.redact import MARK, may_hold

_LONGEST = 64 * 1024  # bytes of a line that are waited for
_HELD = 4096  # of these, what is kept back of a longer one: as long as a secret may be
_BEFORE = 512  # bytes of what passed already that may say what the next line is
_KEY = 64 * 1024  # bytes; no private key is longer
_KEY_LINE = lazy(rb"[\s|>]*(?:[A-Za-z0-9+/=]{1,200}|(?:Proc-Type|DEK-Info): ?[A-Za-z0-9,-]{1,100})?\s*")


class Redactor:
    """One stream. What went in comes out of `feed` and `flush`, in order, without its secrets."""

    def __init__(self) -> None:
        self._carry = b""
        self._before = b""
        self._key = 0  # bytes that are still taken for the rest of a private key

    def feed(self, data: bytes) -> bytes:
        """What can be said of everything up to here."""
        text = self._carry + data
        cut = max(text.rfind(b"\n"), text.rfind(b"\r")) + 1
        if len(text) - cut > _LONGEST:
            cut = self._inside(text)
        self._carry = text[cut:]
        return self._shown(text[:cut]) if cut else b""

    def flush(self) -> bytes:
        """The rest, at the end."""
        text, self._carry = self._carry, b""
        return self._shown(text) if text else b""

    def _inside(self, text: bytes) -> int:
        """Where a line that does not end may be cut: not in the middle of a secret."""
        cut = len(text) - _HELD
        for start, end, _ in _spans(text):
            if start < cut < end:
                return start or end
        return cut

    def _shown(self, text: bytes) -> bytes:
        rest = self._after_key(text) if self._key else text
        whole = self._before + rest
        first = len(self._before)
        shown = self._cut(whole, first) if may_hold(whole) else rest
        recent = whole[-_BEFORE:]
        self._before = recent[recent.find(b"\n") + 1 :] if len(whole) > _BEFORE and b"\n" in recent[:-1] else recent
        return shown

    def _cut(self, whole: bytes, at: int) -> bytes:
        """What follows a place, with marks in place of the parts of it that are secret."""
        shown = []
        for start, end, name in _spans(whole):
            last = end
            if name == "private-key" and whole.find(b"-END", start) < 0:  # the rest of it is still to come
                last = start + _key_length(whole[start:])
                self._key = _KEY if last >= len(whole) else 0
            if last > at:
                line = b"\n" if last > end and whole[last - 1 : last] == b"\n" else b""
                shown += [whole[at : max(at, start)], f"{MARK}{name}]".encode(), line]
                at = last
        return b"".join((*shown, whole[at:]))

    def _after_key(self, text: bytes) -> bytes:
        """What is left of a text that began inside of a private key."""
        length = _key_length(text, headed=True)
        self._key = max(0, self._key - length) if length == len(text) else 0
        return text[length:]


def _key_length(text: bytes, *, headed: bool = False) -> int:
    """How much of a text is lines of a private key; its first line is its head unless that is `headed` already."""
    length = 0
    for number, line in enumerate(text.splitlines(keepends=True)):
        if (number or headed) and not _KEY_LINE.fullmatch(line):
            break
        length += len(line)
    return length


def _spans(text: bytes) -> list[tuple[int, int, str]]:
    """Start, end and form of each secret, in order."""
    from orchgate.secrets import scan

    try:
        found = list(scan.found(text))
    except scan.Unseen:  # so many places that look like one that none can be told from another
        return [(0, len(text), "not looked into")]
    return sorted((one.start, one.end, one.name) for one in found)
