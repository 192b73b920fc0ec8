"""Texts and streams without their secrets: the name of a form is in the place of each.

The commands of a run are looked at before it starts, nearly always in vain: words that every form needs come first. Of
a stream whole lines pass at once, and memory is bounded: the beginning of a line without end passes before the rest.
"""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.secrets.scan import SecretSpan


MARK = "[secret: "  # stands before the name of the form
# One of these is in every word of a form: a command without any of them costs nothing.
WORDS = tuple(
    """
    bearer secret aws pass pwd token credential key string login curl --user identified auth AKIA ASIA ABIA ACCA A3T
    aiza ya29. gocspx- sig= q~ eyj :// hooks.slack.com /api/webhooks/ webhook.office.com ghp_ gho_ ghu_ ghs_ ghr_
    github_pat_ glpat- gldt- glrt- glcbt- glptt- glft- glimt- glagent- gloas- glsoat- glffct- gr1348941 xox xapp-
    _live_ _test_ whsec_ npm_ pypi- SG. SK sk- hf_ api_org_ _v1_ shp :aa dapi dckr_ atatt3 atctt3 ATBB hvs. hvb.
    hvr. .atlasv1. glsa_ glc_ sntry nrak- nral- lin_ ntn_ pmak- pul- dp. pscale_ rubygems_ fm1a_ fm1r_ fm2_ fo1_
    ls0tls1crudjti mysql mariadb hrku- gsk_ pplx- xai- r8_ sbp_ figd_ akcp dt0c01. pnu_
    """.split()  # noqa: SIM905 -- a hundred strings would hide what they are
)


def redacted(text: str) -> str:
    """A text without its secrets."""
    return redacted_words((text,))[0] if text else ""


def redacted_words(words: Sequence[str]) -> tuple[str, ...]:
    """The words of a command without their secrets; what one word holds, the word before it may say."""
    texts = [word.encode("utf-8", "surrogateescape") for word in words]
    whole = b" ".join(texts)
    if not may_hold(whole):
        return tuple(words)
    from orchgate.secrets import scan

    # The form of a token, which is found later, tells more than the key word beside it.
    spans = [*reversed([*scan.among(whole)]), *_options(texts)]
    spans.sort(key=lambda one: (one.start, -one.end))
    shown, start = [], 0
    for text in texts:
        end = start + len(text)
        shown.append(_cut(whole, start, end, spans).decode("utf-8", "surrogateescape"))
        start = end + 1
    return tuple(shown)


def is_redacted(words: Iterable[str]) -> bool:
    """Whether something was taken out of a command that was recorded: it cannot be run again."""
    return any(MARK in word for word in words)


def may_hold(text: bytes) -> bool:
    """Whether any word is in a text that every form of a secret has one of."""
    words = (text + text.lower()).decode("latin-1")
    return any(map(words.__contains__, WORDS))


def _options(texts: Sequence[bytes]) -> Iterator[SecretSpan]:
    """Whole words, or what is left of one, behind an option that says that a secret follows."""
    from orchgate.secrets import values
    from orchgate.secrets.scan import SecretSpan

    start = 0
    for word, following in zip(texts, [*texts[1:], b""], strict=True):
        option, equals, value = word.partition(b"=")
        if values.is_option(option):
            value = value if equals else following
            first = start + (len(option) if equals else len(word)) + 1
            if values.is_value(value):
                yield SecretSpan("key-value", first, first + len(value))
        start += len(word) + 1


def _cut(whole: bytes, start: int, end: int, spans: Sequence[SecretSpan]) -> bytes:
    """One word of the whole, with marks in place of the parts of it that are secret."""
    shown, at = [], start
    for one in spans:
        first, last = max(one.start, at), min(one.end, end)
        if first < last:
            shown += [whole[at:first], f"{MARK}{one.name}]".encode()]
            at = last
    return b"".join((*shown, whole[at:end]))


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
        """What of the stream so far can be passed on."""
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
