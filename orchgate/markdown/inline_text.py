"""The text of inline Markdown as a reader sees it: no emphasis, links, code marks, tags or escapes. Linear time."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    import re

# Attributes as CommonMark reads them: `Map<K, V>` is no tag.
_VALUE = r"""(?:\s*+=\s*+(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'=<>`]++))?+"""
_TAG = rf"</?[A-Za-z][A-Za-z0-9-]*+(?:\s++[A-Za-z_:@][\w.:@-]*+{_VALUE})*+\s*+/?>"
TAG = lazy(_TAG)
_TOKEN = lazy(
    r"(?P<ticks>`+)|\\(?P<escaped>[!-/:-@\[-`{-~])|<(?P<uri>[A-Za-z][A-Za-z0-9+.\-]{1,31}:[^\s<>]*)>"
    rf"|(?P<tag><!--[^<>]*-->|{_TAG})"
    r"|(?P<opening>!?\[)|(?P<closing>\])|(?P<marks>\*+|_+|~+)"
    r"|(?P<entity>&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});)"
)
# What follows the text of a link or image. Possessive throughout: a megabyte of blanks after `](` is read once.
_GAP = r"[ \t]*+\n?+[ \t]*+"
DESTINATION = lazy(
    rf"""\({_GAP}(?:<([^<>\n]*)>|((?:(?!<)(?:[^\s()\\]|\\.|\([^\s()]*+\))++)?+))"""
    rf"""(?:{_GAP}(?:"[^"]*"|'[^']*'|\([^()]*\)))?{_GAP}\)"""
)
_LABEL = lazy(r"\[[^\[\]\n]*\]")
_ENTITY = lazy(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")


def unescaped(text: str) -> str:
    """`&amp;` and the like as characters; what lacks its semicolon stays."""
    if "&" not in text:
        return text
    import html

    return _ENTITY.sub(lambda match: html.unescape(match[0]), text)


def code_content(raw: str) -> str:
    """What stands between the backticks of a code span, without the blank that keeps them apart from it."""
    text = raw.replace("\n", " ")
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] == " " and text.strip(" ") else text


class _Marks:
    """A run of `*`, `_` or `~`: `left` of its characters belong to no pair."""

    def __init__(self, raw: str, match: re.Match[str], piece: int) -> None:
        before, after = raw[match.start() - 1 : match.start()] or " ", raw[match.end() : match.end() + 1] or " "
        left = not after.isspace() and (_is_word(after) or not _is_word(before))
        right = not before.isspace() and (_is_word(before) or not _is_word(after))
        self.mark, self.left, self.piece = match[0][0], len(match[0]), piece
        self.length = self.left
        apart = self.mark != "_"
        self.opens = left and (apart or not right or not _is_word(before))
        self.closes = right and (apart or not left or not _is_word(after))

    def pairs_with(self, opener: _Marks) -> bool:
        return self.mark != "~" or (self.length == opener.length <= 2)


def _is_word(char: str) -> bool:
    """Whether a character is neither blank nor punctuation."""
    return char.isalnum() or not (char.isspace() or char.isascii() or _is_symbol(char))


def _is_symbol(char: str) -> bool:
    import unicodedata

    return unicodedata.category(char)[0] in "PS"


class InlineText:
    """One heading, read once from left to right. `labels`: `[a][b]` has no definition, and is text."""

    def __init__(self, raw: str, *, labels: bool = False) -> None:
        self._raw = raw
        self._labels = labels
        self._pieces: list[str] = []
        self._marks: list[_Marks] = []
        self._open: list[int] = []  # the pieces that are opening brackets
        self._images: list[tuple[int, int]] = []
        self._lonely: set[int] = set()  # lengths of backtick runs that have no partner
        self._read()
        self._pair()

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @property
    def without_images(self) -> str:
        """The text without the alternative text of images."""
        pieces = list(self._pieces)
        for start, end in self._images:
            pieces[start:end] = [""] * (end - start)
        return "".join(pieces)

    def _read(self) -> None:
        done = 0
        for match in _TOKEN.finditer(self._raw):
            if match.start() >= done:
                self._pieces.append(self._raw[done : match.start()])
                done = self._take(match)
        self._pieces.append(self._raw[done:])

    def _take(self, match: re.Match[str]) -> int:
        """Adds what a token stands for; returns where the next one may begin."""
        kind = match.lastgroup
        if kind == "ticks":
            return self._code(match)
        if kind == "closing":
            return self._close(match)
        if kind == "opening":
            self._open.append(len(self._pieces))
        elif kind == "marks":
            self._marks.append(_Marks(self._raw, match, len(self._pieces)))
        text = match[kind] if kind in ("opening", "marks", "escaped", "uri") else ""
        self._pieces.append(unescaped(match[0]) if kind == "entity" else text)
        return match.end()

    def _code(self, match: re.Match[str]) -> int:
        ticks, length = match[0], len(match[0])
        at = -1 if length in self._lonely else self._raw.find(ticks, match.end())
        while at >= 0:
            stop = at + length
            while self._raw.startswith("`", stop):
                stop += 1
            if stop - at == length:
                self._pieces.append(code_content(self._raw[match.end() : at]))
                return stop
            at = self._raw.find(ticks, stop)
        self._lonely.add(length)
        self._pieces.append(ticks)
        return match.end()

    def _close(self, match: re.Match[str]) -> int:
        if not self._open:
            self._pieces.append("]")
            return match.end()
        opener = self._open.pop()
        image, self._pieces[opener] = self._pieces[opener] == "![", ""
        after = self._raw[match.end() : match.end() + 1]
        target = DESTINATION.match(self._raw, match.end()) if after == "(" else None
        if after == "[" and not self._labels:
            target = _LABEL.match(self._raw, match.end())
        if image:
            self._images.append((opener, len(self._pieces)))
        return target.end() if target else match.end()

    def _pair(self) -> None:
        opened: dict[str, list[_Marks]] = {"*": [], "_": [], "~": []}
        for run in self._marks:
            waiting = opened[run.mark]
            while run.closes and run.left and waiting and run.pairs_with(waiting[-1]):
                used = min(run.left, waiting[-1].left)
                run.left -= used
                waiting[-1].left -= used
                if not waiting[-1].left:
                    waiting.pop()
            if run.opens and run.left:
                waiting.append(run)
        for run in self._marks:
            self._pieces[run.piece] = run.mark * run.left
