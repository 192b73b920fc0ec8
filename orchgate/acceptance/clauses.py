"""Which items of a document name the command that proves them: `accept:` and a command in a code span.

Three ways are read, all of which people write: accept: and a code span behind it, a code span that begins with
accept:, and a command without backticks that is the rest of its line. The clause begins its line or follows a dash, a
bracket or the end of a sentence, and nothing but its evidence comes behind it: what goes on in words is prose.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import ListItem

HINT = "ccept"  # of Accept and accept; ACCEPT: is one of prose where people write it
_LABEL = lazy(r"[Aa]ccept(?:\*{1,3}|_{1,3})?:[*_]{0,3}")
_LINE_BEGINS = lazy(r"[ \t>]*(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?(?:\[[ xX]\][ \t]+)?")
_SEPARATED = lazy(r"(?:[—–][ \t]*|[ \t]-{1,2}[ \t]+|[.;:!?)`][ \t]+[—–-]?[ \t]*|\([ \t]*)$")  # noqa: RUF001
_MARKS = lazy(r"[*_]{0,3}(?P<ticks>`{0,3})$")
_EVIDENCE = lazy(r"[*_]{0,3}\b(?:Evidence|Manifest|Proof|Run)\b[^:`\n]{0,24}:", re.IGNORECASE)
_CLOSED = lazy(r"[*_)\].,;]*[ \t]*(?:[—–-]{1,2}[ \t]*|\()?")  # noqa: RUF001
_COMMENT = lazy(r"<!--(?:(?!-->).)*(?:-->|$)")
_WORDS = lazy(r"[\w`]")  # a tick or a star of whoever was content is none
_NEXT = lazy(r"[*_`]{0,3}[Aa]ccept[*_]{0,3}:")
_GOES_ON = ("\\", "&&", "|")
_OUTCOME = lazy(r"\b(?:pass(?:es|ed)?|succeeds?|green|works?|clean|ok|exits?|returns?|prints?)\W*$", re.IGNORECASE)
_FARTHEST = 400  # characters in front of a clause that may be the blanks and marks of an item
_LONGEST = 4_000  # characters of a line that are read behind one
_DEEPEST = 50  # items around a clause that are looked at for one with words
_TRAILING = " \t\n—–-:;,.(*_>"  # noqa: RUF001
# What an HTTP header, a form or a grammar accepts, and no command.
_VALUE = lazy(
    r"(?:application|audio|font|image|message|model|multipart|text|video|\*)/[\w*+.-]+(?:[;,].*)?|\*|"
    r"\.\w+(?:[ ,]+\.\w+)*|\^.*|\[(?! ).*\]|\{.*\}|\"[^\"]*\"|'[^']*'|-.*|\d.*"
)


class AcceptedItem(NamedTuple):
    """An item and the command that is to prove it, "" where `problem` says why what is there cannot be one.

    `checked` is None for an item without a box: a scenario, or a section. `offset` and `end` are of the item, with all
    that is nested in it; `place` is where the clause begins, `after` is behind it.
    """

    title: str
    command: str
    checked: bool | None
    offset: int
    end: int
    place: int
    after: int
    problem: str = ""


class _Clause(NamedTuple):
    place: int
    after: int
    command: str
    problem: str = ""


def may_hold_any(text: str) -> bool:
    """Whether a document may have such items; nearly all are done with here."""
    return HINT in text and _LABEL.search(text) is not None


def accepted_items(document: Document) -> Iterator[AcceptedItem]:
    """The items of a document with an `accept:`, in its order."""
    if not may_hold_any(document.text):
        return
    clauses = list(_clauses(document))
    if not clauses:
        return
    items = iter(document.items)
    waiting = next(items, None)
    opened: list[ListItem] = []
    titles: dict[int, str] = {}
    for clause in clauses:
        while waiting is not None and waiting.offset <= clause.place:
            while opened and opened[-1].end <= waiting.offset:
                opened.pop()
            opened.append(waiting)
            waiting = next(items, None)
        while opened and opened[-1].end <= clause.place:
            opened.pop()
        if item := _item_of(document, clause, opened, titles):
            yield item


def _item_of(
    document: Document, clause: _Clause, opened: list[ListItem], titles: dict[int, str]
) -> AcceptedItem | None:
    """The item that a clause is of. `titles` are those that are known, by their items' offsets."""

    def title(item: ListItem) -> str:
        if item.offset not in titles:
            titles[item.offset] = title_of(item.text)
        return titles[item.offset]

    owner = next((one for one in reversed(opened) if one.checked is not None), None)
    if owner is None and clause.problem:
        return None  # prose outside of a checklist
    owner = owner or next((one for one in reversed(opened[-_DEEPEST:]) if title(one)), None)
    if owner is not None:
        words, checked, start, end = title(owner), owner.checked, owner.offset, owner.end
    else:
        words, start, end = _heading_above(document, clause.place)
        checked = None
    return AcceptedItem(words or clause.command, clause.command, checked, start, end, *clause[:2], clause.problem)


def title_of(text: str) -> str:
    """What an item is about: its words in front of what is to prove it, and of its evidence."""
    label, words = _LABEL.search(text), len(text) - len(text.lstrip(_TRAILING + "`"))
    evidence = (found.start() for found in _EVIDENCE.finditer(text) if found.start() > words)
    places = (label.start() if label else None, next((at for at in evidence if _begins_clause(text, at)), None))
    ends = [at for at in places if at is not None and _begins_clause(text, at)]
    before = text[: min(ends, default=len(text))]
    return " ".join(
        before[: len(before) - _ticks_before(before, len(before)) if ends else None].rstrip(_TRAILING).split()
    )


def _heading_above(document: Document, offset: int) -> tuple[str, int, int]:
    """The section that a place is in, without its subsections: its title, where it begins and ends."""
    headings = document.headings
    at = bisect_left(headings, offset, key=lambda one: one.offset)
    end = headings[at].offset if at < len(headings) else len(document.text)
    return (headings[at - 1].title, headings[at - 1].offset, end) if at else ("", 0, end)


def _clauses(document: Document) -> Iterator[_Clause]:
    text = document.text
    for label in _LABEL.finditer(text):
        if document.hidden(label.start()):
            continue
        end = text.find("\n", label.end(), label.end() + _LONGEST)
        end = min(len(text), label.end() + _LONGEST) if end < 0 else end
        if _ticks_before(text, label.start()):
            yield from _within_span(document, label.start(), end)
        elif not document.in_code(label.start()):
            yield from _behind(document, label, end)


def _begins_clause(text: str, at: int) -> bool:
    """Whether what begins at a place of its line stands apart from what is in front of it."""
    line = text.rfind("\n", max(at - _FARTHEST, 0), at) + 1
    before = text[line or max(at - _FARTHEST, 0) : at]
    marks = _MARKS.search(before[-8:])
    if marks and marks["ticks"]:
        return True
    before = before[: len(before) - len(marks[0])] if marks else before
    begins = (line or at <= _FARTHEST) and _LINE_BEGINS.fullmatch(before)
    return bool(begins) or _SEPARATED.search(before[-12:]) is not None


def _ticks_before(text: str, at: int) -> int:
    marks = _MARKS.search(text[max(at - 8, 0) : at])
    return len(marks["ticks"]) if marks else 0


def _within_span(document: Document, at: int, line_end: int) -> Iterator[_Clause]:
    """`accept: pytest -q`, all of it in one code span."""
    texts, offsets = document.code
    number = bisect_left(offsets, at) - 1
    if number < 0 or at - offsets[number] > len("```"):
        return
    label = _LABEL.match(texts[number].strip())
    command = texts[number].strip()[label.end() :].strip() if label else ""
    after = _span_end(document.text, texts[number], offsets[number])
    if command and _is_apart(document.text, after, line_end) and _reads_as_command(command):
        yield _Clause(offsets[number], after, _on_one_line(document.text[offsets[number] : after], command))


def _behind(document: Document, label: re.Match[str], line_end: int) -> Iterator[_Clause]:
    """A command behind its label, in a code span or without."""
    text, start = document.text, label.end()
    start += len(text[start:line_end]) - len(text[start:line_end].lstrip(" \t"))
    texts, offsets = document.code
    number = bisect_left(offsets, start)
    if number < len(offsets) and offsets[number] == start:
        clause = _in_span(text, label.start(), start, texts[number])
    else:
        clause = _plain(text, label.start(), start, line_end)
    if _begins_clause(text, label.start()):
        yield clause
    elif clause.command and _reads_as_command(clause.command):
        yield clause._replace(command="", problem="it is in the middle of a sentence: put a dash in front of it")


def _in_span(text: str, place: int, start: int, inner: str) -> _Clause:
    after = _span_end(text, inner, start)
    command, stop = _on_one_line(text[start:after], inner), text.find("\n", after, after + _LONGEST)
    if not command or _VALUE.fullmatch(command):
        return _Clause(place, after, "", "it names a value, not a command")
    if _is_apart(text, after, stop if stop >= 0 else min(len(text), after + _LONGEST)):
        return _Clause(place, after, command)
    return _Clause(place, after, "", "more words follow the command on its line")


def _plain(text: str, place: int, start: int, line_end: int) -> _Clause:
    prose = "words, no command in backticks"
    if _LABEL.search(text, start, line_end):  # of many on one line, each is looked at no further than to the next
        return _Clause(place, start, "", prose)
    found = (one.start() for one in _EVIDENCE.finditer(text, start, line_end))
    stop = next((at for at in found if _begins_clause(text, at)), line_end)  # `npm run a:b` begins none
    plain = _COMMENT.split(text[start:stop], maxsplit=1)[0].rstrip(" \t—–(")  # noqa: RUF001
    plain = re.sub(r"(?<=[^\s.])[.;]$", "", plain)
    if plain.endswith(_GOES_ON):
        return _Clause(place, start + len(plain), "", "it goes on behind its line: put all of it into backticks")
    if plain and "`" not in plain and not _OUTCOME.search(plain) and _reads_as_command(plain):
        return _Clause(place, start + len(plain), plain)
    return _Clause(place, start + len(plain), "", prose if plain else "it names no command")


def _on_one_line(written: str, command: str) -> str:
    """A command without the line ends that it was wrapped at, and without a prompt."""
    whole = " ".join(command.split()) if "\n" in written else command.strip()
    return whole.removeprefix("$ ").strip()


def _span_end(text: str, inner: str, start: int) -> int:
    from orchgate.markdown.inline import span_end

    return span_end(text, inner, start)


def _is_apart(text: str, after: int, line_end: int) -> bool:
    """Whether nothing follows a clause on its line but its evidence, or another clause."""
    rest = _COMMENT.sub("", text[after:line_end])
    closed = _CLOSED.match(rest)
    left = rest[closed.end() :] if closed else rest
    return _WORDS.search(left) is None or (_EVIDENCE.match(left) or _NEXT.match(left)) is not None


def _reads_as_command(text: str) -> bool:
    """Whether a line without backticks is one that somebody would type, and no sentence and no value."""
    if _VALUE.fullmatch(text):
        return False
    from orchgate.plan_commands.checker import starts_like_a_command
    from orchgate.plan_commands.shell import script

    found = script(text)[0]
    return bool(found) and starts_like_a_command(found[0])
