"""Who approved a document, in the many ways people write it."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.patterns import lazy
from orchgate.packets.sections import APPROVALS
from orchgate.packets.titles import normal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import Section

_ENTRY = lazy(r"(?P<indent>[ \t]*)(?P<bullet>[-*+]|\d{1,3}[.)])?[ \t]*(?:\[(?P<box>[ xX])\])?[ \t]*(?P<body>.*)")
_LABEL = lazy(r"(?P<label>[^:|]{1,60}?)[ \t]*(?::|[ \t][—–-](?=[ \t]|$))[ \t]*(?P<value>.*)")  # noqa: RUF001
_DATE = lazy(r"(?:approval |review |approved )?(?:date|on)")
_ASIDE = lazy(r"(?:.* )?(?:evidence|notes?|manifests?|logs?|links?|telemetry|summary|rationale)")
_EXEMPT = lazy(
    r"(?:n/a|n\.a\.?|na$|not (?:applicable|required|needed)|none|[-—–]+)(?:[ .,;:(/—–-].*)?"  # noqa: RUF001
)
_NOT_GIVEN = lazy(
    r"\b(?:(?:not (?:yet )?|(?:to|must|will|should) be )"
    r"(?:approved|accepted|given|signed|reviewed|confirmed|assigned|done)|none yet|unapproved)\b"
)
_REFUSED = lazy(r"\b(?:rejected|declined|withheld|changes requested)\b")
_GIVEN = lazy(r"\b(?:approved|accepted|pass(?:ed)?|signed[ -]off|completed?|succeeded|granted|waive[dr]|lgtm|ok)\b|✅")
_OPEN = lazy(r"\b(?:pending|tbd|tbc|todo|awaiting|waiting|unassigned)\b|^\?+$|^not yet$|^<[^<>]*>$")
_HEADINGS = frozenset({"role", "area", "approver", "reviewer", "who"})


class Gap(NamedTuple):
    """One approval that is not there: whose, why it does not count, and where."""

    role: str
    why: str
    offset: int


class _Entry(NamedTuple):
    label: str
    value: str
    offset: int
    box: str | None


def sections(document: Document) -> list[Section]:
    """The document's sections for approvals."""
    return [section for section in document.sections if normal(section.heading.title) in APPROVALS]


def gaps(document: Document, section: Section) -> list[Gap]:
    """What is missing among the approvals of a section; a section without any entry is one gap."""
    found: list[Gap] = []
    given = False
    reviewed = False  # the entry above named somebody, so that a date belongs to it
    entries = list(_entries(document, section))
    for entry in entries:
        why = _standing(entry)
        if _DATE.fullmatch(entry.label.casefold()):
            if reviewed and why:
                found.append(Gap(entry.label, why, entry.offset))
            continue
        if why is None or why:
            found.extend([Gap(entry.label or "approval", why, entry.offset)] if why else [])
            reviewed = False
            continue
        given = reviewed = True
    if not found and not given:
        return [Gap("approval", "nobody named" if entries else "empty", section.heading.offset)]
    return found


def _entries(document: Document, section: Section) -> Iterator[_Entry]:
    """Labelled lines and table rows; a label without value takes the more indented line below it."""
    waiting: tuple[_Entry, int] | None = None
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


def _entry(body: str, offset: int, box: str | None) -> _Entry | None:
    match = _LABEL.fullmatch(_bare(body))
    if match is None:
        return _Entry("", _bare(body), offset, box)
    label = match["label"].strip()
    return None if _ASIDE.fullmatch(label.casefold()) else _Entry(label, match["value"].strip(), offset, box)


def _row(body: str, offset: int) -> _Entry | None:
    """A table row: the first cell is the role, the others its approval. Rules and headings are none."""
    cells = [_bare(cell.strip()) for cell in body.strip("|").split("|")]
    if all(not cell.strip(":-") for cell in cells) or cells[0].casefold() in _HEADINGS:
        return None
    return _Entry(cells[0], " ".join(cell for cell in cells[1:] if cell), offset, None)


def _bare(text: str) -> str:
    """Text without emphasis and code marks."""
    for mark in ("**", "__", "`"):
        text = text.replace(mark, "")
    return text.strip().strip("*_")


def _standing(entry: _Entry) -> str | None:
    """Empty for an approval that is there, None for one that is not needed, else why it does not count."""
    value = entry.value.strip(" _*.").casefold()
    if entry.box == " ":
        return "not ticked"
    if entry.box and not value:
        return ""
    if not value:
        return "empty"
    inner = value.strip("()[] _")
    if _NOT_GIVEN.search(value):
        return "not given"
    if _EXEMPT.fullmatch(inner):
        return None
    if _GIVEN.search(value):
        return ""  # "approved, follow-up pending" is an approval
    if _REFUSED.search(value):
        return "refused"
    return "pending" if _OPEN.search(inner) else ""
