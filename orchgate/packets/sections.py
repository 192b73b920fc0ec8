"""Sections of a document: which are missing, empty or there twice, where a placeholder is left, and who approved."""

from __future__ import annotations

import re
from functools import lru_cache

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.markdown.parts import covered, merged
from orchgate.packets.naming import choices, normal, spellings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import Heading, Section

APPROVALS = frozenset({"approvals", "approval", "sign off", "sign offs", "signoff", "signoffs"})
_BLANK = lazy(r"[\s*+\-_\[\]]*")  # bullets, boxes and rules without text
_RARE = "QZXJVWKYBFHGUMOLNDRPITASCE"  # capitals, those first that few headings and names hold; before them what is none
_BEFORE_VALUE = lazy(
    r"[ \t>|]*(?:(?:[-*+]|\d{1,4}[.)])[ \t]+)?(?:\[[ xX]\][ \t]*)?(?:[^:\n|]{1,80}:[*_]*[ \t]*)?[*_(]*"
)


def first_titled(document: Document, required: str) -> Section | None:
    """The first section with one of the titles of `A | B`, at whatever level."""
    titled = _by_title(document)
    first = min((titled[title] for title in _wanted(required) if title in titled), default=None)
    return None if first is None else document.sections[first]


def ranges_titled(document: Document, titles: Iterable[str]) -> list[tuple[int, int]]:
    """The sections with one of the titles; one inside another is not repeated."""
    wanted = {normal(title) for title in titles}
    ranges: list[tuple[int, int]] = []
    for section in document.sections:
        if normal(section.heading.title) in wanted and not (ranges and section.start < ranges[-1][1]):
            ranges.append((section.heading.body, section.end))
    return ranges


@lru_cache(maxsize=4)  # several rules ask about one document in a row
def _by_title(document: Document) -> dict[str, int]:
    """The first section of each spelling, by its number."""
    found: dict[str, int] = {}
    for number, heading in enumerate(document.headings):
        for spelling in spellings(heading.title):
            found.setdefault(spelling, number)
    return found


@lru_cache(maxsize=128)
def _wanted(required: str) -> tuple[str, ...]:
    return tuple(normal(title) for title in choices(required))


def missing(document: Document, required: tuple[str, ...]) -> list[str]:
    """The required titles that no heading of the document carries."""
    present = _by_title(document).keys()
    return [title for title in required if present.isdisjoint(_wanted(title))]


def is_empty(document: Document, section: Section) -> bool:
    """Whether only comments, bare bullets and blank space follow the heading; a subsection counts as content."""
    at = section.heading.body
    if document.text.find("<!--", at, section.end) < 0:
        return at >= section.end or _BLANK.fullmatch(document.text, at, section.end) is not None
    for comment in document.comments:
        if section.heading.body <= comment.offset < section.end:
            if not _BLANK.fullmatch(document.text, at, comment.offset):
                return False
            at = comment.end
    return at >= section.end or _BLANK.fullmatch(document.text, at, section.end) is not None


def duplicates(document: Document) -> list[list[Heading]]:
    """Headings of one level below the same parent that share a title, two or more each."""
    titles = {normal(heading.title) for heading in document.headings}
    if len(titles) == len(document.headings):
        return []  # nearly every document
    path: list[tuple[int, str]] = []
    seen: dict[tuple[tuple[int, str], ...], list[Heading]] = {}
    for heading in document.headings:
        while path and path[-1][0] >= heading.level:
            path.pop()
        path.append((heading.level, normal(heading.title)))
        seen.setdefault(tuple(path), []).append(heading)
    return [headings for place, headings in seen.items() if len(headings) > 1 and place[-1][1]]


def placeholders(document: Document, words: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Placeholders for values that are still to be written, with their offsets.

    A word such as TBD counts where a value begins (`- Owner: TBD`), a bracket such as `<fill in>` anywhere; neither
    counts in code, comments and approvals.
    """
    exempt: list[tuple[int, int]] | None = None
    for word in words:
        rare, start = _beginning(word)
        if rare not in document.text or start not in document.text:
            continue
        for match in _expression(word).finditer(document.text):
            at = match.start()
            if (word[0].isalnum() and not _begins_value(document, at)) or document.in_code(at):
                continue
            if exempt is None:
                exempt = merged((s.start, s.end) for s in document.sections if normal(s.heading.title) in APPROVALS)
            if not covered(exempt, at):
                yield match[0], at


def _begins_value(document: Document, at: int) -> bool:
    start = max(document.text.rfind("\n", 0, at) + 1, at - 200)
    return _BEFORE_VALUE.fullmatch(document.text, start, at) is not None


@lru_cache(maxsize=64)
def _beginning(word: str) -> tuple[str, str]:
    """How a placeholder begins, and a letter of it that most texts do not hold: one is found much faster than three."""
    start = word.partition("*")[0]
    return min(start, key=_RARE.find, default=""), start


@lru_cache(maxsize=64)
def _expression(word: str) -> re.Pattern[str]:
    inner = re.escape(word).replace(r"\*", r"[^<>\n]{0,80}")
    return re.compile(rf"\b{inner}(?![\w/-])" if word.isalnum() else inner)


_ENTRY = lazy(r"(?P<indent>[ \t]*)(?P<bullet>[-*+]|\d{1,3}[.)])?[ \t]*(?:\[(?P<box>[ xX])\])?[ \t]*(?P<body>.*)")
_LABEL = lazy(r"(?P<label>[^:|]{1,60}?)[ \t]*(?::|[ \t][—–-](?=[ \t]|$))[ \t]*(?P<value>.*)")  # noqa: RUF001
_DATES = frozenset(f"{before}{word}" for before in ("", "approval ", "review ", "approved ") for word in ("date", "on"))
_ASIDES = frozenset(
    {"evidence", "telemetry", "summary", "rationale"}
    | {f"{word}{ending}" for word in ("note", "manifest", "log", "link") for ending in ("", "s")}
)
_EXEMPT = lazy(
    r"(?:n/a|n\.a\.?|na$|not (?:applicable|required|needed)|none|[-—–]+)(?:[ .,;:(/—–-].*)?"  # noqa: RUF001
)
_OF_NOT_GIVEN = ("not ", " be ", "none yet", "unapproved")
_NOT_GIVEN = lazy(
    r"\b(?:(?:not (?:yet )?|(?:to|must|will|should) be )"
    r"(?:approved|accepted|given|signed|reviewed|confirmed|assigned|done)|none yet|unapproved)\b"
)
_OF_REFUSED = ("rejected", "declined", "withheld", "changes requested")
_REFUSED = lazy(rf"\b(?:{'|'.join(_OF_REFUSED)})\b")
_GIVEN = lazy(r"\b(?:approved|accepted|pass(?:ed)?|signed[ -]off|completed?|succeeded|granted|waive[dr]|lgtm|ok)\b|✅")
_OF_PENDING = ("pending", "tbd", "tbc", "todo", "waiting", "unassigned", "?", "not yet", "<")
_PENDING = lazy(r"\b(?:pending|tbd|tbc|todo|awaiting|waiting|unassigned)\b|^\?+$|^not yet$|^<[^<>]*>$")
_HEADINGS = frozenset({"role", "area", "approver", "reviewer", "who"})


class MissingApproval(NamedTuple):
    """An approval that is missing: whose, why what is there does not count, and where."""

    role: str
    why: str
    offset: int


class _ApprovalLine(NamedTuple):
    label: str
    value: str
    offset: int
    box: str | None


def approval_sections(document: Document) -> list[Section]:
    """The document's sections for approvals."""
    return [section for section in document.sections if normal(section.heading.title) in APPROVALS]


def missing_approvals(document: Document, section: Section) -> list[MissingApproval]:
    """What is missing among the approvals of a section; a section without entries is one missing approval."""
    found: list[MissingApproval] = []
    given = False
    reviewed = False  # the entry above names somebody, so a date belongs to it
    entries = list(_entries(document, section))
    for entry in entries:
        why = _why_missing(entry.value, entry.box)
        if entry.label.casefold() in _DATES:
            if reviewed and why:
                found.append(MissingApproval(entry.label, why, entry.offset))
            continue
        if why is None or why:
            found.extend([MissingApproval(entry.label or "approval", why, entry.offset)] if why else [])
            reviewed = False
            continue
        given = reviewed = True
    if not found and not given:
        return [MissingApproval("approval", "nobody named" if entries else "empty", section.heading.offset)]
    return found


def _entries(document: Document, section: Section) -> Iterator[_ApprovalLine]:
    """Labelled lines and table rows; for a label without a value, the value is the more indented line below it."""
    waiting: tuple[_ApprovalLine, int] | None = None
    for offset, line in _lines(document, section):
        match = _ENTRY.fullmatch(line)
        assert match is not None
        indent, body = len(match["indent"].expandtabs(4)), match["body"].strip()
        if waiting and indent > waiting[1]:
            yield waiting[0]._replace(value=body)
            waiting = None
            continue
        if waiting:
            yield waiting[0]
            waiting = None
        entry = _row(body, offset) if body.startswith("|") else _entry(body, offset, match["box"])
        if entry is None:
            continue
        if entry.value or entry.box is not None or body.startswith("|"):
            yield entry
        else:
            waiting = (entry, indent)
    if waiting:
        yield waiting[0]


def _lines(document: Document, section: Section) -> Iterator[tuple[int, str]]:
    offset = section.heading.body
    for line in document.text[offset : section.end].split("\n"):
        if line.strip() and not line.lstrip().startswith(("#", "<!--")) and not document.hidden(offset):
            yield offset + len(line) - len(line.lstrip()), line
        offset += len(line) + 1


def _entry(body: str, offset: int, box: str | None) -> _ApprovalLine | None:
    match = _LABEL.fullmatch(_bare(body))
    if match is None:
        return _ApprovalLine("", _bare(body), offset, box)
    label = match["label"].strip()
    is_aside = label.casefold().rpartition(" ")[2] in _ASIDES
    return None if is_aside else _ApprovalLine(label, match["value"].strip(), offset, box)


def _row(body: str, offset: int) -> _ApprovalLine | None:
    """A table row: the first cell is the role, the others its approval. None for separator and heading rows."""
    cells = [_bare(cell.strip()) for cell in body.strip("|").split("|")]
    if all(not cell.strip(":-") for cell in cells) or cells[0].casefold() in _HEADINGS:
        return None
    return _ApprovalLine(cells[0], " ".join(cell for cell in cells[1:] if cell), offset, None)


def _bare(text: str) -> str:
    """Text without emphasis and code marks."""
    for mark in ("**", "__", "`"):
        text = text.replace(mark, "")
    return text.strip().strip("*_")


@lru_cache(maxsize=1024)  # most packets are approved in the same few words
def _why_missing(written: str, box: str | None) -> str | None:
    """Why an approval does not count; "" for one that is given, None for one that is not needed."""
    value = written.strip(" _*.").casefold()
    if box == " ":
        return "not ticked"
    if box and not value:
        return ""
    if not value:
        return "empty"
    inner = value.strip("()[] _")
    if any(word in value for word in _OF_NOT_GIVEN) and _NOT_GIVEN.search(value):
        return "not given"
    if inner[:1] in "n-—–" and _EXEMPT.fullmatch(inner):  # noqa: RUF001
        return None
    if _GIVEN.search(value):
        return ""  # "approved, follow-up pending" is an approval
    if any(word in value for word in _OF_REFUSED) and _REFUSED.search(value):
        return "refused"
    return "pending" if any(word in inner for word in _OF_PENDING) and _PENDING.search(inner) else ""
