"""What a Markdown document is made of, and which files are one. Offsets count characters and point at the first one."""

from __future__ import annotations

from bisect import bisect_right

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Heading(NamedTuple):
    """`title` is plain text; `body` is where what follows the heading begins; `raw` is its Markdown.

    `anchor` is the one that is written behind the title, as in `## Goals {#goals}`, else GitHub's.
    """

    level: int
    title: str
    anchor: str
    offset: int
    body: int
    raw: str


class Section(NamedTuple):
    """A heading and the range that belongs to it, up to the next heading of the same or a higher level."""

    heading: Heading
    start: int
    end: int


class CodeSpan(NamedTuple):
    """A code span outside fences, comments and front matter; `text` is without the backticks."""

    text: str
    offset: int


class LabelUse(NamedTuple):
    """`[text][label]`, `[label][]` or (a `shortcut`) `[label]`, as `written`: a reference that needs a definition."""

    written: str
    label: str
    offset: int
    shortcut: bool


class MarkdownLink(NamedTuple):
    """An inline link, image, autolink or reference definition; `target` as written, without `<>` and title."""

    target: str
    text: str
    offset: int


class Fence(NamedTuple):
    """A fenced code block; `info` follows the opening fence, `text` is its lines without the container's indent."""

    info: str
    text: str
    offset: int


class ListItem(NamedTuple):
    """A list item. `checked` is None without a box; `text` is the item's own, `end` is after everything nested in it.

    `indent` is the column of the marker, from 0.
    """

    checked: bool | None
    text: str
    offset: int
    indent: int
    end: int


class Comment(NamedTuple):
    """An HTML or MDX comment. `text` is what stands between the marks; `marks` is how many characters they have."""

    text: str
    offset: int
    marks: int = len("<!---->")

    @property
    def end(self) -> int:
        return self.offset + len(self.text) + self.marks


class Blocks(NamedTuple):
    """What inline syntax does not apply to. `masks` are ranges of whole lines, sorted and disjoint."""

    masks: tuple[tuple[int, int], ...] = ()
    fences: tuple[Fence, ...] = ()
    comments: tuple[Comment, ...] = ()


def merged(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Ranges sorted by start, such as sections, with overlapping ones merged."""
    found: list[tuple[int, int]] = []
    for start, end in ranges:
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def covered(ranges: Sequence[tuple[int, int]], offset: int) -> bool:
    """Whether one of the ranges, sorted and disjoint, contains an offset."""
    index = bisect_right(ranges, offset, key=lambda begin_end: begin_end[0]) - 1
    return index >= 0 and ranges[index][0] <= offset < ranges[index][1]


# Which files are Markdown documents, by name


SUFFIXES = (".md", ".markdown", ".mdx")
MDX = ".mdx"
_LONGEST_SUFFIX = len(".markdown")


def is_markdown(path: str) -> bool:
    """Whether a file has the name of a Markdown document, in any case."""
    return path[-_LONGEST_SUFFIX:].casefold().endswith(SUFFIXES)


def is_mdx(path: str) -> bool:
    return path.casefold().endswith(MDX)


def as_md(path: str) -> str:
    """The path with the usual suffix: `docs/a.MARKDOWN` is `docs/a.md`."""
    folded = path.casefold()
    suffix = next((suffix for suffix in SUFFIXES if folded.endswith(suffix)), "")
    return path[: len(path) - len(suffix)] + SUFFIXES[0] if suffix else path
