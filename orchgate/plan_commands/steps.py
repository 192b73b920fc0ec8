"""The commands that stand in the step sections of a document: in fenced blocks and in code spans.

A block that names a shell is a script. A block without a language, and a code span, may just as well be output or a
phrase, so they count only where they start like a command, and a sentence that tells not to run one is not a step.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from typing import TYPE_CHECKING, NamedTuple

from orchgate.lib.patterns import lazy
from orchgate.packets.titles import normal
from orchgate.plan_commands import interactive, requests
from orchgate.plan_commands.shell import one_of, script
from orchgate.plan_commands.transcripts import fence_commands, has_prompts, is_shell, language
from orchgate.plan_commands.wrappers import WRAPPERS, started

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import Fence, Span
    from orchgate.plan_commands.shell import Command
    from orchgate.plan_commands.wrappers import Started

TOOLS = one_of(
    "awk bash cargo cat cd cmake cp curl deno docker-compose echo env export find git go gradle grep jq ls "
    "mkdir mkdocs mv mvn mypy node perl pip printf pytest python python3 rg rm ruby ruff sed sh sort source "
    "tee touch tox tsc vitest wget"
)
# Words that make a line a sentence, whatever it starts with: `make sure the build passes`.
_PROSE = one_of(
    "a an the this that these those is are was be been it its of to for and or with without sure only than "
    "then into all you your we our not if when which must should can will"
)
_NOT_A_STEP = lazy(
    r"\b(?:no|not|never|avoid\w*|don['\u2019]t|doesn['\u2019]t|cannot|can['\u2019]t|instead of|rather than"
    r"|without|unlike|add(?:s|ed|ing)?|creat(?:e|es|ed|ing)|introduc\w+|implement(?:s|ed|ing)?|new|propos\w+|planned|future"
    r"|renam\w+|remov\w+|delet\w+|dropp?\w*|replac\w+|deprecat\w+|retir\w+|missing|formerly|previously|legacy|old)\b",
    re.IGNORECASE,
)
_TOLD = lazy(
    r"(?:\b(?:run|runs|running|rerun|re-run|execute|start|call|type|enter|invoke)|[:>])\s*[*_]*$", re.IGNORECASE
)
_ITEM_MARKS = lazy(r"\W*(?:\d+[.)])?\W*(?:\[[ xX]\])?\W*")
_SENTENCE_END = lazy(r"[.;!?:]\s|\n")
_MENTION = lazy(r"[a-z][a-z-]*|--?[A-Za-z][A-Za-z-]*")
_PATHLIKE = lazy(r"-|.*[/.]")
LOOK_BACK = 160  # characters of a sentence that are read before a code span
LONGEST_INDENT = 1000  # characters that a line of a block may have lost


class Step(NamedTuple):
    """One command of a document. `mentioned`: it stands in a sentence and may be no more than a name."""

    command: Command
    offset: int
    mentioned: bool = False

    def started(self) -> Iterator[Started]:
        return started(self.command)


def steps(document: Document, titles: Iterable[str]) -> Iterator[Step]:
    """The commands of the sections with one of the titles, in the order of the document."""
    ranges = _ranges(document, {normal(title) for title in titles})
    if not ranges:
        return
    found = [*_fenced(document, ranges), *_inline(document, ranges)]
    yield from sorted(found, key=lambda step: step.offset)


def _ranges(document: Document, wanted: set[str]) -> list[tuple[int, int]]:
    """The wanted sections; one inside another counts once."""
    ranges: list[tuple[int, int]] = []
    for section in document.sections:
        if normal(section.heading.title) in wanted and not (ranges and section.start < ranges[-1][1]):
            ranges.append((section.heading.body, section.end))
    return ranges


def _within(ranges: list[tuple[int, int]], offset: int) -> int | None:
    """Which of the ranges holds an offset."""
    index = bisect_right(ranges, offset, key=lambda start_end: start_end[0]) - 1
    return index if index >= 0 and offset < ranges[index][1] else None


def _fenced(document: Document, ranges: list[tuple[int, int]]) -> Iterator[Step]:
    folders: dict[int, str | None] = {}
    for fence in document.fences:
        section = _within(ranges, fence.offset)
        if section is None:
            continue
        folder = folders.get(section, "")
        found, after = _block(fence, folder)
        yield from _placed(document, fence, found)
        # Whether the next block starts where this one ended, nobody says.
        folders[section] = folder if after == folder else None


def _block(fence: Fence, folder: str | None) -> tuple[list[Command], str | None]:
    name = language(fence.info)
    if is_shell(name):
        return fence_commands(fence.text, folder)
    if name and not (name in ("text", "txt", "plain") and has_prompts(fence.text)):
        return [], folder
    found, after = fence_commands(fence.text, folder)
    if has_prompts(fence.text):
        return found, after
    return [command for command in found if len(command.words) > 1 and starts_like_a_command(command)], after


def _placed(document: Document, fence: Fence, found: list[Command]) -> Iterator[Step]:
    """A block's commands, in order, where they stand in the document, whatever indent the block lost."""
    at = document.text.find("\n", fence.offset) + 1
    line = seen = 0
    for command in found:
        for _ in range(fence.text.count("\n", seen, command.offset)):
            at = document.text.find("\n", at) + 1
        line = fence.text.rfind("\n", seen, command.offset) + 1 or line
        seen = command.offset
        first = command.text.split("\n", 1)[0]
        column = at + command.offset - line
        found_at = document.text.find(first, column, column + LONGEST_INDENT + len(first))
        yield Step(command, max(found_at, at))


def _inline(document: Document, ranges: list[tuple[int, int]]) -> Iterator[Step]:
    for span in document.spans:
        if _within(ranges, span.offset) is not None and " " in span.text.strip():
            found = script(span.text.strip().removeprefix("$ "))[0]
            if found and starts_like_a_command(found[0]) and not _told_otherwise(document, span):
                told = _is_told(document, span)
                for command in found:
                    yield Step(command, span.offset, mentioned=not told and _bare(command))


def starts_like_a_command(command: Command) -> bool:
    """Whether a line of unknown kind is a command rather than a phrase."""
    first = command.words[0].text
    arguments = command.argv[1:]
    if any(word.lower() in _PROSE for word in arguments):
        return False
    if first in interactive.WORDLIKE:
        return any(_PATHLIKE.match(word) for word in arguments)
    known = first in TOOLS or first in requests.PROGRAMS or first in WRAPPERS or interactive.knows(first)
    return known or bool(command.env) or first.startswith(("./", "../"))


def _bare(command: Command) -> bool:
    return all(_MENTION.fullmatch(word.text) for word in command.words)


def _before(document: Document, span: Span) -> str:
    """The sentence up to a code span."""
    text = document.text[max(0, span.offset - LOOK_BACK) : span.offset].rstrip("`")
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[ends[-1] :] if ends else text


def _told_otherwise(document: Document, span: Span) -> bool:
    return _NOT_A_STEP.search(_before(document, span)) is not None


def _is_told(document: Document, span: Span) -> bool:
    """Whether the words before a code span tell to run it, or nothing stands before it in its line."""
    far = max(0, span.offset - LOOK_BACK)
    before = document.text[max(document.text.rfind("\n", far, span.offset) + 1, far) : span.offset].rstrip("`")
    return (
        _TOLD.search(before.rstrip()) is not None
        or re.fullmatch(r"\W*(?:\d+[.)])?\W*(?:\[[ xX]\])?\W*", before) is not None
    )
