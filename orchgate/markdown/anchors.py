"""What a heading is called, and what `#…` may point at: GitHub's anchors, explicit ids, and ids and names of HTML."""

from __future__ import annotations

from collections import Counter
from functools import lru_cache
from itertools import pairwise

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import re
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchgate.markdown.parts import Heading

Range = tuple[int, int]

_MARKS = frozenset("`*~[]<>\\")
_NOT_WORD = lazy(r"[^\w\- ]")
# `{#id}`, `{ #id .c }`, `{: .c #id key="v" }` at the end of a heading, as site generators and kramdown take it.
_LIST = r"\{(?=:|[ \t]*[#.])(:?[ \t]*(?:[^\s{}\"'()<>;]+(?:=(?:\"[^\"\n]*\"|'[^'\n]*'))?[ \t]*){1,9})\}"
_ATTRIBUTES = lazy(rf"[ \t]*+{_LIST}[ \t]*$")
_ANYWHERE = lazy(_LIST)
_EXPLICIT = lazy(r"(?:^|[\s:])#([^\s{}#]+)")
_NAMED_BY_COMMENT = lazy(r"\s*#([^\s#]+)\s*")
_FOOTNOTE = lazy(r"\[\^([^\[\]\s]{1,200})\]")
_NESTED_ATX = lazy(r"\n[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t>]++)*+#{1,6}[ \t]+([^\n]*)")
_NESTED_SETEXT = lazy(
    r"\n(?=[ \t]*[>*+\d-])[ \t>]*+(?:(?:[-*+]|\d{1,9}[.)])[ \t>]++)*+((?![-*+](?:\s|-*\n))[^\s>#][^\n]*)"
    r"\n[ \t>]+(?:=+|-+)[ \t]*(?=\n|\Z)"
)
_ID = lazy(r"""\s(?:id|name)\s{0,9}=\s{0,9}(?:"([^"<>\n]*)"|'([^'<>\n]*)'|([^\s"'`=<>{}]+))""")
_LONGEST_TAG = 1000  # characters before an attribute in which its tag begins
_LONGEST_HEADING = 2000  # characters of a heading written in HTML
_HTML_HEADING = lazy(r"<[hH]([1-6])(?:\s[^<>]*)?>")
# Letters to Unicode though their category is "symbol": circled and squared ones.
_CIRCLED = ((0x24B6, 0x24E9), (0x1F130, 0x1F149), (0x1F150, 0x1F169), (0x1F170, 0x1F189))


class Title(NamedTuple):
    """`text` is what a reader sees, `slug` GitHub's anchor, `id` the one that is written behind the title.

    `own` is the anchor that a generator, which takes `id` away, makes of the rest.
    """

    text: str
    slug: str
    id: str = ""
    own: str = ""


@lru_cache(maxsize=4096)  # every packet has the same few section titles
def title_of(raw: str) -> Title:
    """What a heading's Markdown says; it may hold line ends."""
    raw = raw.strip(" \t\n")
    attributes = _ATTRIBUTES.search(raw) if raw.endswith("}") else None
    if attributes is None:
        return Title(*_text_and_slug(raw))
    text, own = _text_and_slug(raw[: attributes.start()].rstrip())
    named = _EXPLICIT.search(attributes[1])
    return Title(text, _text_and_slug(raw)[1], named[1] if named else "", own)


def _text_and_slug(raw: str, *, labels: bool = False) -> tuple[str, str]:
    if not _is_marked(raw):
        return " ".join(raw.split()), slug(raw)
    from orchgate.markdown.inline_text import InlineText

    inline = InlineText(raw, labels=labels)
    return " ".join(inline.text.split()), slug(inline.without_images)


def _marked(raw: str) -> str:
    from orchgate.markdown.inline_text import InlineText

    return InlineText(raw).without_images


def _is_marked(raw: str) -> bool:
    """Whether the text of a heading may differ from what is written; that of `# TECH_SPEC - R&D!` does not."""
    if not _MARKS.isdisjoint(raw) or ("&" in raw and ";" in raw):
        return True
    words = raw.split("_")  # between two letters it is one of them
    return not all(one[-1:].isalnum() and other[:1].isalnum() for one, other in pairwise(words))


def slug(text: str) -> str:
    """The anchor GitHub makes of a heading's text: lower case, punctuation dropped, blanks as hyphens."""
    lower = text.lower()
    if lower.isascii():
        return _NOT_WORD.sub("", lower).replace(" ", "-")
    return "".join(filter(_is_word, lower)).replace(" ", "-")


def _is_word(char: str) -> bool:
    if char.isalpha() or char.isdecimal() or char in "-_ ":
        return True
    import unicodedata

    if unicodedata.category(char) in ("Mn", "Mc", "Me", "Pc", "Nl"):
        return True
    return any(first <= ord(char) <= last for first, last in _CIRCLED)


class Numbering:
    """Anchors that came before: a repeated one gets the next number that is free."""

    def __init__(self) -> None:
        self._seen: dict[str, int] = {}

    def take(self, anchor: str) -> None:
        self._seen.setdefault(anchor, 0)

    def next(self, anchor: str) -> str:
        given = anchor
        while given in self._seen:
            self._seen[anchor] += 1
            given = f"{anchor}-{self._seen[anchor]}"
        self._seen[given] = 0
        return given


def anchors(
    text: str, parts: Sequence[Range], headings: Sequence[Heading], hidden: Callable[[int], bool]
) -> frozenset[str]:
    """Everything that `#…` may point at; `hidden` says whether an offset is in a code span or comment."""
    found = {heading.anchor for heading in headings}
    written = {heading.offset: heading.raw for heading in headings}.items() | _nested(text, parts, headings)
    titles = [(offset, title_of(raw)) for offset, raw in written]
    found.update(_text_and_slug(raw, labels=True)[1] for _, raw in written if "][" in raw)
    for offset, plain in _html_headings(text, parts, hidden) if "</h" in text or "</H" in text else ():
        titles.append((offset, Title(plain, slug(plain))))
        marked = _marked(plain.strip())
        found |= {slug(plain.strip()), slug(marked), slug(marked.strip())}
    found |= _numbered([title for _, title in sorted(titles)])
    found |= _footnotes(text) if "[^" in text else set()
    for start, end in parts:
        if "{" in text:
            found.update(_id_in(one) for one in _ANYWHERE.finditer(text, start, end) if not hidden(one.start()))
        if "<" in text:
            found.update(_id_of_tag(text, one) for one in _ID.finditer(text, start, end) if not hidden(one.start()))
    return frozenset(found - {""})


def named_by(comments: Iterable[str]) -> Iterator[str]:
    """The ids in comments of the form `#id`, as Docusaurus takes them."""
    yield from (match[1] for text in comments if (match := _NAMED_BY_COMMENT.fullmatch(text)))


def _numbered(titles: Sequence[Title]) -> set[str]:
    """The anchors of headings in the order of the document, for GitHub and for generators with explicit ids."""
    github = Numbering()
    found = {github.next(title.slug) for title in titles}
    if any(title.id for title in titles):
        first, later = Numbering(), Numbering()  # generators differ in whether ids are known before they come
        for title in titles:
            if title.id:
                first.take(title.id)
        found.update(title.id or first.next(title.own or title.slug) for title in titles)
        found.update(title.id or later.next(title.own or title.slug) for title in titles)
    return found


def _nested(text: str, parts: Iterable[Range], headings: Sequence[Heading]) -> set[tuple[int, str]]:
    """The headings in quotes and lists, by where their line begins; those at the top level are left out."""
    lines = {text.rfind("\n", 0, heading.offset) + 1 for heading in headings}
    found: set[tuple[int, str]] = set()
    for start, end in parts:
        for match, shift in search(_NESTED_ATX, text, start, end):
            if (at := match.start() + shift + 1) not in lines:
                found.add((at, opened(match[1])))
        for match, shift in search(_NESTED_SETEXT, text, start, end):
            if (at := match.start() + shift + 1) not in lines:
                found.add((at, match[1]))
    return found


_CLOSING = lazy(r"(?:^|(?<=[ \t]))#+$")


def opened(raw: str) -> str:
    """What follows the opening `#`s, without the closing ones."""
    return _CLOSING.sub("", raw.strip(" \t")) if "#" in raw else raw


def search(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[tuple[re.Match[str], int]]:
    """Matches, with what to add to their offsets because the first line of the text has no newline before it."""
    if start == 0:
        stop = text.find("\n", text.find("\n", 0, end) + 1, end)
        first = "\n" + text[: end if stop < 0 else stop]
        match = pattern.match(first)
        if match:
            yield match, -1
    for match in pattern.finditer(text, start, end):
        yield match, 0


def _id_in(match: re.Match[str]) -> str:
    named = _EXPLICIT.search(match[1])
    return named[1] if named else ""


def _id_of_tag(text: str, match: re.Match[str]) -> str:
    """The value of an attribute that stands in a tag."""
    opening = text.rfind("<", max(match.start() - _LONGEST_TAG, 0), match.start())
    if opening < 0 or not text[opening + 1 : opening + 2].isalpha():
        return ""
    closed = text.find(">", opening, match.start()) >= 0 and '"' not in text[opening : match.start()]
    from orchgate.markdown.inline_text import unescaped

    return "" if closed else unescaped((match[1] or match[2] or match[3] or "").strip())


def _html_headings(text: str, parts: Iterable[Range], hidden: Callable[[int], bool]) -> Iterator[tuple[int, str]]:
    """The text of `<h2>…</h2>`, which gets an anchor, too."""
    from orchgate.markdown.inline_text import TAG, unescaped

    for start, end in parts:
        for match in _HTML_HEADING.finditer(text, start, end):
            inner = text[match.end() : min(match.end() + _LONGEST_HEADING, end)]
            closing = f"</h{match[1]}" if "</h" in inner else f"</H{match[1]}"
            inner, closed, _ = inner.partition(closing)
            if closed and not hidden(match.start()):
                yield match.start(), unescaped(TAG.sub("", inner))


def _footnotes(text: str) -> set[str]:
    """The anchors of footnotes and of the places that refer to them, as GitHub and generators make them."""
    found: set[str] = set()
    for note, count in Counter(match[1] for match in _FOOTNOTE.finditer(text)).items():
        found.update(f"fn{back}{dash}{note}" for back in ("", "ref") for dash in ("", "-", ":"))
        found.update(f"fnref-{note}-{number}" for number in range(2, count))
    return found
