"""Finds what is not prose in a Markdown text: front matter, fences, block comments, indented code. Linear time."""

from __future__ import annotations

import re

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import NamedTuple
from orchgate.markdown.parts import Blocks, Comment, Fence

_QUOTE = lazy(r"(?: {0,3}> ?)+")
_MARKER = lazy(r"([-*+]|\d{1,9}[.)])(?: {1,4}(?! )|(?=[ \t]|$))")
_RULE = lazy(r"([-*_])[ \t]*(?:\1[ \t]*){2,}$")
_INTERRUPTS = lazy(r" {0,3}(?:```|~~~|#{1,6}[ \t]|[-*+][ \t]|1[.)][ \t]|<!--|[-*_]{3,}[ \t]*$)")
_FENCE = lazy(r"(`{3,}|~{3,})(.*)")
_INDENTED = lazy(r"\n    ")
_DEEPEST = 64  # nested list items; deeper ones count as text
_BLOCK_STARTS = frozenset("`~<>-*+#|_0123456789")


def front_matter_end(text: str) -> int:
    """Where the closing line of the front matter ends; 0 without front matter."""
    if not text.startswith("---"):
        return 0
    first = text.find("\n")
    if first < 0 or text[3:first].strip():
        return 0
    at = first
    while at >= 0:
        end = line_end(text, at + 1)
        if text[at + 1 : end].rstrip(" \t") in ("---", "..."):
            return end
        at = text.find("\n", at + 1)
    return 0


def find_blocks(text: str, start: int, *, indented_code: bool = True) -> Blocks:
    """The blocks after `start`, where the front matter ends. MDX has no indented code."""
    front = ((0, start),) if start else ()
    # Searching for one character is several times faster than for a string.
    if (
        "```" in text
        or ("~" in text and "~~~" in text)
        or "\t" in text
        or _INDENTED.search(text)
        or text.startswith("    ")
    ):
        scan = _Scan(text, start, indented_code)
        scan.run()
        return Blocks((*front, *scan.masks), tuple(scan.fences), tuple(scan.comments))
    if "<" not in text or "<!--" not in text:
        return Blocks(front)
    return _only_comments(text, start, front)


def _only_comments(text: str, start: int, front: tuple[tuple[int, int], ...]) -> Blocks:
    """What the scan would find in a document with comments and nothing else of interest, as most are."""
    masks: list[tuple[int, int]] = []
    comments: list[Comment] = []
    at = text.find("<!--", start)
    while at >= 0:
        begin = text.rfind("\n", max(at - 4, 0), at) + 1
        if (begin == 0 and at > 3) or text[begin:at].strip(" "):
            at = text.find("<!--", at + 4)  # in the middle of a line: inline syntax decides
            continue
        end = comment_end(text, at)
        comments.append(Comment(text[at + 4 : max(end - 3, at + 4)], at))
        end = line_end(text, end)
        masks.append((begin, end))
        at = text.find("<!--", end)
    return Blocks((*front, *masks), (), tuple(comments))


def comment_end(text: str, at: int) -> int:
    """Where the comment that begins at `at` ends, after its `-->`; an unclosed one runs to the end of the text."""
    end = text.find("-->", at + 2)  # `<!-->` is a whole comment
    return len(text) if end < 0 else max(end + 3, at + 5)


def line_end(text: str, offset: int) -> int:
    end = text.find("\n", offset)
    return len(text) if end < 0 else end


def indent_of(line: str) -> int:
    """The column of the first character that is not blank; tabs stop at every fourth."""
    column = len(line) - len(line.lstrip(" "))
    if not line.startswith("\t", column):
        return column
    column = 0
    for char in line:
        if char == " ":
            column += 1
        elif char == "\t":
            column += 4 - column % 4
        else:
            break
    return column


class _Scan:
    """One pass over the lines. It tracks quotes and lists only as far as code blocks depend on them."""

    def __init__(self, text: str, start: int, indented_code: bool) -> None:
        self.text = text
        self.indented_code = indented_code
        self.at = start + 1 if start else 0
        self.masks: list[tuple[int, int]] = []
        self.fences: list[Fence] = []
        self.comments: list[Comment] = []
        self.contents: list[int] = []  # columns where the contents of the open list items begin
        self.quotes = 0
        self.paragraph = False

    def run(self) -> None:
        text = self.text
        while self.at < len(text):
            end = line_end(text, self.at)
            char = text[self.at : self.at + 1]
            if self.at == end:
                self.paragraph = False
            elif char not in " \t" and char not in _BLOCK_STARTS and not self.quotes:
                if not self.paragraph:
                    self.contents.clear()
                self.paragraph = True
            else:
                end = self._line(text[self.at : end], end)
            self.at = end + 1

    def _line(self, line: str, end: int) -> int:
        """Reads one line and the block that it opens; returns where that ends."""
        rest = self._unquote(line)
        stripped = rest.lstrip(" \t")
        if not stripped:
            self.paragraph = False
            return end
        indent = indent_of(rest)
        self._leave_lists(stripped, indent)
        while True:
            base = self.contents[-1] if self.contents else 0
            if indent - base >= 4 and self.indented_code:
                if not self.paragraph:
                    self.masks.append((self.at, end))
                return end
            marker = self._marker(stripped)
            if marker is None or len(self.contents) >= _DEEPEST:
                break
            self.paragraph = False
            indent += marker.end()
            self.contents.append(indent)
            rest = stripped[marker.end() :]
            stripped = rest.lstrip(" \t")
            indent += len(rest) - len(stripped)
            if not stripped:
                return end
        return self._leaf(stripped, indent, end)

    def _unquote(self, line: str) -> str:
        match = _QUOTE.match(line)
        depth = match[0].count(">") if match else 0
        if depth != self.quotes and (depth or not self.paragraph or not line.strip() or _INTERRUPTS.match(line)):
            self.quotes = depth
            self.contents.clear()
            self.paragraph = False
        return line[match.end() :] if match else line

    def _leave_lists(self, stripped: str, indent: int) -> None:
        if not self.contents or indent >= self.contents[-1]:
            return
        if self.paragraph and not _INTERRUPTS.match(stripped):
            return  # a lazy continuation line
        while self.contents and indent < self.contents[-1]:
            self.contents.pop()
            self.paragraph = False

    def _marker(self, stripped: str) -> re.Match[str] | None:
        match = _MARKER.match(stripped)
        if match is None or _RULE.match(stripped):
            return None
        digits = match[1][:-1]
        if self.paragraph and not self.contents and digits not in ("", "1"):
            return None  # a wrapped line that begins with a number
        return match

    def _leaf(self, stripped: str, indent: int, end: int) -> int:
        if stripped.startswith("<!--"):
            return self._comment(end - len(stripped))
        fence = _FENCE.match(stripped)
        if fence and not (fence[1][0] == "`" and "`" in fence[2]):
            return self._fence(fence, indent, end)
        self.paragraph = stripped[0] != "#" and not _RULE.match(stripped)
        return end

    def _comment(self, at: int) -> int:
        end = comment_end(self.text, at)
        self.comments.append(Comment(self.text[at + 4 : max(end - 3, at + 4)], at))
        end = line_end(self.text, end)
        self.masks.append((self.at, end))
        self.paragraph = False
        return end

    def _fence(self, opening: re.Match[str], indent: int, end: int) -> int:
        text, mark = self.text, opening[1]
        base = self.contents[-1] if self.contents else 0
        lines: list[str] = []
        at = end
        while at + 1 < len(text):
            end = line_end(text, at + 1)
            line = text[at + 1 : end]
            quote = _QUOTE.match(line)
            if self.quotes and not quote:
                end = at
                break
            if self.quotes and quote:
                line = line[quote.end() :]
            stripped = line.strip(" \t")
            if stripped and base and indent_of(line) < base:
                end = at
                break
            if stripped.startswith(mark) and not stripped.strip(mark[0]) and indent_of(line) - base < 4:
                break
            lines.append(line[min(indent, len(line) - len(line.lstrip(" "))) :])
            at = end
        self.fences.append(Fence(opening[2].strip(), "".join(line + "\n" for line in lines), self._opening(mark)))
        self.masks.append((self.at, end))
        self.paragraph = False
        return end

    def _opening(self, mark: str) -> int:
        return self.text.index(mark, self.at)


_FRONT_KEY = lazy(r"([^\s:#'\"\[\]{}-][^:#]*?)[ \t]*:(?:[ \t]+(.*))?$")
_QUOTED = lazy(r"(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^']|'')*)')[ \t]*(?:#.*)?$")
_REMARK = lazy(r"(?:^|(?<=[ \t]))#.*")
_FOLDED = lazy(r"[|>][+-]?\d?[ \t]*(?:#.*)?$")


class _FrontValue(NamedTuple):
    """The lines of a text, or the items of a list."""

    parts: list[str]
    listed: bool = False


def parse_front_matter(block: str) -> dict[str, str | list[str]]:
    """The top-level keys with their text or list of texts, from the small part of YAML that front matter is written in.

    Never raises: what it does not know is text. Nested tables are left out, a key without a value is empty text.
    """
    entries: dict[str, _FrontValue] = {}
    key, folded = "", False
    for line in block.split("\n")[1:-1]:
        stripped = line.strip()
        if not stripped or (stripped[0] == "#" and not folded):
            continue
        match = None if line[0] in " \t" else _FRONT_KEY.match(line)
        if match:
            key, raw = match[1], (match[2] or "").strip()
            folded = raw[:1] in ("|", ">") and bool(_FOLDED.match(raw))
            entries[key] = _FrontValue([]) if folded else _entry(_value(raw))
        elif key:
            entries[key] = _continued(entries[key], stripped, folded, line[0] in " \t")
    return {key: entry.parts if entry.listed else " ".join(entry.parts) for key, entry in entries.items()}


def _entry(value: str | list[str]) -> _FrontValue:
    return _FrontValue(value, listed=True) if isinstance(value, list) else _FrontValue([value] if value else [])


def _continued(entry: _FrontValue, stripped: str, folded: bool, indented: bool) -> _FrontValue:
    """The entry with one more line; its parts grow in place."""
    if folded and not entry.listed:
        entry.parts.append(stripped)
    elif stripped.startswith("- ") or stripped == "-":
        if entry.listed or not entry.parts:
            entry.parts.append(scalar(stripped[1:].strip()))
            return _FrontValue(entry.parts, listed=True)
    elif indented and not entry.listed and entry.parts:
        entry.parts.append(scalar(stripped))
    return entry


def _value(raw: str) -> str | list[str]:
    if raw.startswith("["):
        inner, closed, _ = (_REMARK.sub("", raw[1:]) if "#" in raw else raw[1:]).rpartition("]")
        if closed:
            return [scalar(part.strip()) for part in inner.split(",") if part.strip()]
    return scalar(raw)


def scalar(raw: str) -> str:
    match = _QUOTED.match(raw) if raw[:1] in ('"', "'") else None
    if match is None:
        return _REMARK.sub("", raw).strip() if "#" in raw else raw
    if match[2] is not None:
        return match[2].replace("''", "'")
    return re.sub(r'\\(["\\/])', r"\1", match[1]).replace("\\n", "\n").replace("\\t", "\t")
