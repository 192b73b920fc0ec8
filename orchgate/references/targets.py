"""What a document points at: its candidate references, and what each of them is a path, a pattern or an anchor of."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple, cached_property
from orchgate.markdown.blocks import line_end

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.markdown.document import Document


RUN_ID = lazy(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z-[0-9a-f]{8}")

_LOCAL = lazy(
    r"file:/{1,3}[\w.$<{~-]|(?:/(?:Users|home|root|Volumes|private|var/folders|mnt/[a-z])/[^/]+/|/tmp/|~[\w.-]*/|[A-Za-z]:[\\/](?![\\/]))[\w.$<{-]"
)
_OF_LOCAL = ("file:/", "/Users/", "/home/", "/root/", "/Volumes/", "/private/", "/var/folders/", "/mnt/", "/tmp/", "~")  # noqa: S108 -- as below
_OWN_HOME = ("~/", "/tmp/", "/private/tmp/", "/var/folders/")  # noqa: S108 -- nothing is written there
_SCHEME = lazy(r"[A-Za-z][A-Za-z0-9+.-]+:")  # of one letter: a drive of Windows
_REMOTE = lazy(r"[\w.-]+@[\w.-]+:")  # `git@host:owner/name`, as ssh and scp take it
_LINES = lazy(r":L?\d+(?:[-:,]L?\d+)*$")
_LINE_RANGE = lazy(r"L(\d+)(?:C\d+)?(?:-L?(\d+)(?:C\d+)?)?")
_LONGEST = 12  # digits of a line number that are looked at
_NOT_A_PATH = lazy(r"[\s|\"`\\;^\x00-\x1f]")
_UNFILLED = lazy(
    r"<[^<>/]*>|\{\{?[^{},/]*\}\}?|\$\{?\w+|^%(?:(?![0-9A-Fa-f]{2})\w+|[A-Z_]{3,})%|YYYY|XXXX|(?<![A-Za-z])(?:X{3,}|N{4,})(?![A-Za-z])"
)
_OF_UNFILLED = ("<", "{", "$", "%", "YYYY", "XXX", "NNNN")  # one of them is in each; most paths have none
_FOR_A_GENERATOR = lazy(r"\{[{%]|[%}]\}")  # `{{ site.url }}/a`, `{% link a.md %}`: only it knows where these lead
_PATTERN = lazy(r"[*?]|\[[^\]/]+\]|\{[^{}]*,[^{}]*\}")
_OF_PATTERNS = frozenset("*?[{")
_NEVER_IN_PATHS = frozenset("<>{}$()=,'")  # of those that code spans name
_MOST_STARS = 3  # in one name; more would take long to match
# Pages that GitHub serves beside a repository's files: `../../issues/12` does not leave the repository.
_SITE = lazy(
    r"(?:\.\./)+(?:issues|pulls?|discussions|wiki|releases|actions|projects|security|compare|commits?|tree|blob|raw|"
    r"labels|milestones?|graphs|network|stargazers|archive|tags|branches)(?:[/?#]|$)"
)


class TargetKind(Enum):
    PATH = "path"
    PATTERN = "pattern"
    UNFILLED = "unfilled"
    LOCAL = "local"
    ANCHOR = "anchor"


class ReferenceTarget(NamedTuple):
    """`path` is as written, without line numbers, query and anchor; `artifact`: it leads into a folder of runs.

    `line` is the last line that the text names, by `:12-14` or `#L12-L14`; 0 for none.
    """

    kind: TargetKind
    path: str
    anchor: str = ""
    artifact: bool = False
    line: int = 0


class TargetReader:
    """Reads texts as targets; knows the roots of artifacts."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        names = "|".join(re.escape(root.strip("/")) for root in roots) or r"(?!)"
        self._artifact = lazy(rf"(?:\.{{1,2}}/)*(?:{names})/.")
        self._known: dict[str, ReferenceTarget | None] = {}  # spans read so far

    def span(self, text: str) -> ReferenceTarget | None:
        """What a code span points at; None for words, options, commands, routes, packages and the like."""
        if text not in self._known:
            self._known[text] = self._read_span(text)
        return self._known[text]

    def _read_span(self, text: str) -> ReferenceTarget | None:
        if "/" not in text and "\\" not in text:
            if ":" not in text:
                return None
            name = _LINES.sub("", text)
            named = name != text and "." in name and not _NOT_A_PATH.search(name)
            return ReferenceTarget(TargetKind.PATH, name, line=_last_line(text, "")) if named else None
        if _is_local(text):
            return ReferenceTarget(TargetKind.LOCAL, text) if not _NOT_A_PATH.search(text.replace("\\", "/")) else None
        if ":" in text and (_is_uri(text) or ("@" in text and _REMOTE.match(text))):
            return None
        if _NOT_A_PATH.search(text) or "…" in text or "..." in text or "://" in text or text[0] in "@-/$%&!=+'(#,:~<{[":
            return None
        path, _, anchor = text.partition("#")
        return self._target(path, anchor)

    def link(self, text: str) -> ReferenceTarget | None:
        """What a Markdown destination points at; None for the web and for places only GitHub's site has."""
        if not text or "…" in text or "..." in text.partition("#")[0]:
            return None
        if text.startswith("#"):
            return ReferenceTarget(TargetKind.ANCHOR, "", text[1:])
        if _is_local(text):
            return ReferenceTarget(TargetKind.LOCAL, text)
        if _is_uri(text) or text.startswith("//") or (text.startswith("../") and _SITE.match(text)):
            return None
        path, _, anchor = text.partition("#")
        return self._target(path.partition("?")[0], anchor, link=True)

    def _target(self, written: str, anchor: str, *, link: bool = False) -> ReferenceTarget | None:
        path = _LINES.sub("", written) if ":" in written else written
        artifact = self._artifact.match(path) is not None
        if is_unfilled(path):
            return ReferenceTarget(TargetKind.UNFILLED, path, "", artifact) if artifact or link else None
        if link and not artifact and _FOR_A_GENERATOR.search(path):
            return None
        if not _OF_PATTERNS.isdisjoint(path) and _PATTERN.search(path):
            if any(part.count("*") > _MOST_STARS for part in path.split("/")) or path.count("**") > _MOST_STARS:
                return None
            return ReferenceTarget(TargetKind.PATTERN, path, "", artifact)
        if not link and not _NEVER_IN_PATHS.isdisjoint(path):
            return None
        return ReferenceTarget(TargetKind.PATH, path, anchor, artifact, _last_line(written, anchor))


def _is_uri(text: str) -> bool:
    """Whether a text begins with a scheme, such as `tel:` or `doi:`; `plan.md:12` is a path with a line."""
    scheme = _SCHEME.match(text) if ":" in text else None
    if scheme is None:
        return False
    name, lines = scheme[0][:-1], _LINES.search(text)
    return not ("." in name and lines and lines.start() == len(name))


def _is_local(text: str) -> bool:
    # Most commits have no such path: the first characters tell without compiling the pattern.
    return (text[1:2] == ":" or text.startswith(_OF_LOCAL)) and _LOCAL.match(text) is not None


def _last_line(path: str, anchor: str) -> int:
    """The largest line number that a text names; a second number behind a colon is a column."""
    if ":" not in path and not anchor:
        return 0
    suffix = _LINES.search(path)
    pieces = re.split("[-,]", suffix[0][1:]) if suffix else []
    numbers = [piece.partition(":")[0].lstrip("L") for piece in pieces]
    ranged = _LINE_RANGE.fullmatch(anchor) if anchor.startswith("L") else None
    numbers += [number for number in ranged.groups() if number] if ranged else []
    return max((int(number[:_LONGEST]) for number in numbers), default=0)


def unquoted(path: str) -> str:
    """`%20` and the like as characters; what is not UTF-8 survives as surrogates."""
    if "%" not in path:
        return path
    from urllib.parse import unquote

    return unquote(path, errors="surrogateescape")


def of_this_user(local: str) -> bool:
    """Whether a local path is not specific to one machine: `~/…` and temporary folders, common in instructions."""
    return local.startswith(_OWN_HOME)


def is_unfilled(text: str) -> bool:
    """Whether a text contains a placeholder such as `<run-id>`, `{task}` or `$USER`."""
    return any(mark in text for mark in _OF_UNFILLED) and _UNFILLED.search(text) is not None


# The candidate references of a document: code spans, Markdown links, and artifact paths written without backticks


_OPENING = lazy(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+(?:\[([ xX])\](?=[ \t]))?")
_BREAK = lazy(r"[ \t>]*(?:#{1,6}[ \t]|\||(?:[-*+]|\d{1,9}[.)])[ \t]|\n|$)")
_MARKER = lazy(r"\bEvidence\b[^:\x01\n]{0,24}:", re.IGNORECASE)
# A comment ends before the next one begins, so that many which never end take no longer than one.
_SPAN = lazy(r"`+[^`]*`+|\[[^\[\]]*\]\([^()]*\)|<!--(?:[^<-]|-(?!->)|<(?!!--))*-->")
_LABEL = lazy(r"\s*[*_]{0,3}[^\x01:]{1,100}:[*_]{0,3}")
_FILLER = lazy(r"(?:[\s,;+&/.\x01]|\band\b|\([^()]*\))*")
_CLAUSE_END = lazy(r"[.;:]\s|\bEvidence\b[^:\x01\n]{0,24}:", re.IGNORECASE)
_GONE = lazy(
    r"\b(?:delet|remov|renam|retir|archiv|drop|moved|mov(?:e|ing) |replac|former|histor|absent|missing|"
    r"no longer|not (?:present|exist|found|created|add)|does not exist|never|without|prun|purg|clean)",
    re.IGNORECASE,
)
# One of these is in each, and in few sentences.
_OF_EVIDENCE = ("evidence",)
_OF_GONE = (
    *("delet", "remov", "renam", "retir", "archiv", "drop", "mov", "replac", "former", "histor", "absent", "missing"),
    *("no longer", "not ", "never", "without", "prun", "purg", "clean"),
)
_NEAR = 400  # characters before a reference in which a word counts as about it


def _may_hold(text: str, words: tuple[str, ...]) -> bool:
    """Whether a text may hold one of some words in whatever case; a search by pattern is dear, and tells for sure."""
    lower = text.lower()
    return not lower.isascii() or any(word in lower for word in words)


Range = tuple[int, int]


class Notation(Enum):
    SPAN = "span"
    LINK = "link"
    BARE = "bare"


class Reference(NamedTuple):
    """Something that a document points at. `text` is without the marks around it, `offset` is where these begin."""

    text: str
    offset: int
    written: Notation


class Sentence:
    """A list item or a paragraph, read once for all the references in it.

    `start` and `end` bound it in the document; `checked` is the item's box, None without one.
    """

    def __init__(self, text: str, start: int, end: int) -> None:
        opening = _OPENING.match(text, start, end)
        self.checked = None if opening is None or opening[1] is None else opening[1] != " "
        self.start, self.end = start, end
        self._body = opening.end() if opening else start
        self._text = text
        self._held: dict[re.Pattern[str], bool] = {}

    @cached_property
    def plain(self) -> str:
        """The prose after the bullet. References and comments are blanked out, and the length stays the same."""
        return _SPAN.sub(lambda match: "\x01" * len(match[0]), self._text[self._body : self.end])

    @cached_property
    def evidence(self) -> int:
        """Where in the prose an `Evidence:` ends; after all of it where there is none."""
        marker = _MARKER.search(self.plain) if _may_hold(self.plain, _OF_EVIDENCE) else None
        return marker.end() if marker else len(self.plain) + 1

    @cached_property
    def status(self) -> Range:
        """Where in the prose nothing but references stands between a label's colon and this one; nowhere: (1, 0)."""
        label = _LABEL.match(self.plain)
        filler = _FILLER.match(self.plain, label.end()) if label else None
        return (label.end(), filler.end()) if label and filler else (1, 0)

    def holds(self, words: re.Pattern[str]) -> bool:
        """Whether one of the words is in the prose; searched once, however many references ask."""
        if words not in self._held:
            self._held[words] = words.search(self.plain) is not None
        return self._held[words]

    def at(self, offset: int) -> Statement:
        return Statement(self, max(offset - self._body, 0))

    @cached_property
    def clauses(self) -> list[int]:
        """Where clauses begin."""
        return [0, *(match.end() for match in _CLAUSE_END.finditer(self.plain))]

    @cached_property
    def gone(self) -> list[int]:
        """The offsets of words which say that something no longer exists."""
        return [match.start() for match in _GONE.finditer(self.plain)] if _may_hold(self.plain, _OF_GONE) else []


class Statement(NamedTuple):
    """What a sentence says about one reference in it, which is `here` in its prose."""

    sentence: Sentence
    here: int

    @property
    def checked(self) -> bool | None:
        """The item's box, None without one."""
        return self.sentence.checked

    @property
    def evidence(self) -> bool:
        """Whether there is an `Evidence:` before the reference."""
        return self.here >= self.sentence.evidence

    @property
    def status(self) -> bool:
        """Whether there are only references between a label's colon and this one."""
        begin, end = self.sentence.status
        return begin <= self.here <= end

    @property
    def gone(self) -> bool:
        """Whether the clause says that its subject was deleted, moved, or is missing."""
        gone = self.sentence.gone
        if not gone:
            return False
        clauses = self.sentence.clauses
        begin = clauses[bisect_right(clauses, self.here) - 1]
        return bisect_left(gone, begin) < bisect_left(gone, self.here)

    def says(self, words: re.Pattern[str]) -> bool:
        """Whether one of the words is in the label, or shortly before the reference."""
        plain = self.sentence.plain
        near = words.search(plain, max(self.here - _NEAR, 0), self.here)
        return bool(near or words.search(plain, 0, min(100, self.here)))


class Sentences:
    """The sentences of one document; keeps the last one, because references come in order."""

    def __init__(self, document: Document) -> None:
        self._text = document.text
        self._last: Sentence | None = None

    def at(self, offset: int) -> Statement:
        if self._last is None or not self._last.start <= offset < self._last.end:
            start, end = self._bounds(offset)
            self._last = Sentence(self._text, start, end)
        return self._last.at(offset)

    def _bounds(self, offset: int) -> tuple[int, int]:
        text = self._text
        start = text.rfind("\n", 0, offset) + 1
        end = line_end(text, offset)
        while start > 0 and not _BREAK.match(text, start):
            above = text.rfind("\n", 0, start - 1) + 1
            if not text[above : start - 1].strip(" \t>") or text[above] in "#|":
                break
            start = above
        if text[start : start + 1] not in ("#", "|"):
            while end < len(text) and not _BREAK.match(text, end + 1):
                end = line_end(text, end + 1)
        return start, end


# The ellipsis by itself: a set with a character from beyond Latin-1 takes as long to compile as ten other patterns.
_BARE = lazy(r"(?:(?!…)[^\s`<>()\[\]{},;\"'|*])+")
_INSIDE_A_PATH = frozenset("_`/.<*$%@\\-")


class BarePaths:
    """Finds artifact paths in prose."""

    def __init__(self, roots: tuple[str, ...]) -> None:
        self._starts = [root.strip("/") + "/" for root in roots]

    def find(self, document: Document) -> Iterator[Reference]:
        text = document.text
        for start in self._starts:
            at = text.find(start)
            while at >= 0:
                before = text[at - 1 : at]
                within = before in _INSIDE_A_PATH or before.isalnum()  # most are code spans
                match = None if within else _BARE.match(text, at + len(start))
                if match is None:
                    at = text.find(start, at + 1)
                    continue
                if not text.startswith("](", at - 2) and not document.in_code(at):
                    yield Reference(text[at : match.end()].rstrip(".:!?_"), at, Notation.BARE)
                at = text.find(start, match.end())
