"""Headings, anchors and links as orchgate reads them, beside GitHub's own parser: python bench/links.py FOLDER …

Every Markdown document below the folders is read twice: by `orchgate.markdown`, and by cmark-gfm (`pip install
cmarkgfm`), whose HTML is read by Python's HTML parser and whose anchors are made here from GitHub's published rule. A
line a difference, each with its class, then a table. Classes that are explained are counted and not listed, unless
`--all` is given; the exit code is 1 when others are left. MDX is no Markdown to cmark, and left out.
"""

from __future__ import annotations

import argparse
import importlib
import os
import re
import sys
import unicodedata
from collections import Counter
from html.parser import HTMLParser
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from orchgate.markdown.blocks import front_matter_end
from orchgate.markdown.document import Document, decode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

EXTENSIONS = ["table", "strikethrough", "tasklist", "tagfilter"]
HEADINGS = frozenset({"h1", "h2", "h3", "h4", "h5", "h6"})
CONTAINERS = frozenset({"blockquote", "ul", "ol", "table", "section"})
VOID = frozenset({"img", "br", "hr", "input", "source", "meta", "link", "wbr", "area", "col", "embed"})
WEB = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|//")
# What differs on purpose, with the reason.
EXPLAINED = {
    "definition that nothing uses": "a reader of the source follows it; the rendered page does not show it",
    "id for a generator": "`{#id}`, `<!-- #id -->` and footnotes: anchors to site generators only",
    "blanks in an HTML heading": "`<h1> A </h1>`: whether blanks around the text count depends on the renderer",
    "heading of a container": "looked for line by line: some lines of lists count that are no headings",
    "id of a tag that GitHub takes away": "`<script id=x>`: generators keep it",
    "heading with labels": "`## [a][b]`: with and without the label, which only a generator may define",
}


class Read(NamedTuple):
    """What a parser found: top-level headings by level and line, anchors, and targets that are not on the web."""

    headings: Counter[tuple[int, int]]
    anchors: set[str]
    links: set[str]
    titles: list[str]


class Difference(NamedTuple):
    path: str
    kind: str
    side: str
    what: str


class Page(HTMLParser):
    """The rendered HTML of one document."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.headings: Counter[tuple[int, int]] = Counter()
        self.titles: list[str] = []
        self.ids: set[str] = set()
        self.links: set[str] = set()
        self._depth = 0
        self._title: list[str] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        place = values.get("data-sourcepos", "")
        if tag in HEADINGS:
            self._title = []
            if place and not self._depth:
                self.headings[int(tag[1]), int(place.partition(":")[0])] += 1
        elif tag in CONTAINERS and place:
            self._depth += 1
        self.ids |= {values[name] for name in ("id", "name") if values.get(name)}
        target = values.get("href" if tag == "a" else "src") if tag in ("a", "img") else None
        if (
            target
            and not WEB.match(target)
            and "data-footnote-ref" not in values
            and "footnote-backref" not in str(attrs)
        ):
            self.links.add(unquote(target.strip()))

    def handle_endtag(self, tag: str) -> None:
        if tag in HEADINGS and self._title is not None:
            self.titles.append("".join(self._title))
            self._title = None
        elif tag in CONTAINERS and self._depth:
            self._depth -= 1

    def handle_data(self, data: str) -> None:
        if self._title is not None:
            self._title.append(data)


def slug(title: str) -> str:
    """GitHub's rule: `downcase`, without `[^\\p{Word}\\- ]`, blanks as hyphens."""
    kept = (one for one in title.lower() if one in "- " or unicodedata.category(one)[0] in "LM" or _counts(one))
    return "".join(kept).replace(" ", "-")


def _counts(char: str) -> bool:
    return unicodedata.category(char) in ("Nd", "Nl", "Pc")


def numbered(titles: list[str]) -> set[str]:
    seen: dict[str, int] = {}
    for title in titles:
        first = given = slug(title)
        while given in seen:
            seen[first] += 1
            given = f"{first}-{seen[first]}"
        seen[given] = 0
    return set(seen) - {""}


def theirs(text: str, cmark: ModuleType) -> Read:
    options = importlib.import_module("cmarkgfm.cmark").Options
    wanted = options.CMARK_OPT_UNSAFE | options.CMARK_OPT_SOURCEPOS | options.CMARK_OPT_FOOTNOTES
    page = Page()
    page.feed(cmark.markdown_to_html_with_extensions(text, options=wanted, extensions=EXTENSIONS))
    page.close()
    return Read(page.headings, numbered(page.titles) | page.ids, page.links, page.titles)


def ours(document: Document) -> Read:
    headings = Counter((one.level, document.position(one.offset)[0]) for one in document.headings)
    links = {unquote(one.target.strip()) for one in document.links if not WEB.match(one.target)}
    return Read(headings, set(document.anchors), links - {""}, [one.title for one in document.headings])


def without_front_matter(text: str) -> str:
    """The text with empty lines in place of the front matter, which is no Markdown."""
    end = front_matter_end(text)
    return "\n" * text[:end].count("\n") + text[end:]


def differences(path: str, name: str, cmark: ModuleType) -> Iterator[Difference]:
    with open(path, "rb") as file:
        text = without_front_matter(decode(file.read().replace(b"\0", b""))).encode("utf-8", "replace").decode()
    document = Document(name, text.encode())
    us, them = ours(document), theirs(text, cmark)
    yield from (Difference(name, "heading", "ours", f"{item}") for item in sorted(us.headings - them.headings))
    yield from (Difference(name, "heading", "theirs", f"{item}") for item in sorted(them.headings - us.headings))
    for item in sorted(us.links - them.links):
        yield Difference(name, _kind_of_link(item, text), "ours", item)
    yield from (Difference(name, "link", "theirs", item) for item in sorted(them.links - us.links))
    for item in sorted(us.anchors - them.anchors):
        yield Difference(name, _kind_of_anchor(item, text, them.titles), "ours", item)
    yield from (Difference(name, "anchor", "theirs", item) for item in sorted(them.anchors - us.anchors))


def _kind_of_link(item: str, text: str) -> str:
    defined = re.search(rf"(?m)^[ >]{{0,3}}\[[^\]\n]+\]:\s*<?{re.escape(item)}", unquote(text))
    return "definition that nothing uses" if defined else "link"


def _kind_of_anchor(item: str, text: str, titles: list[str]) -> str:
    """Why an anchor counts that GitHub does not make."""
    if re.search(rf"\{{[^}}\n]*#{re.escape(item)}[\s}}*]|<!--\s*#{re.escape(item)}\s*-->", text) or item.startswith(
        "fn"
    ):
        return "id for a generator"
    if re.sub(r"-\d+$", "", item) in numbered([re.sub(r"\s*\{[^{}]*\}\s*$", "", title) for title in titles]):
        return "id for a generator"
    if any(item in (slug(title.strip()), slug(title.strip()).strip("-")) for title in titles):
        return "blanks in an HTML heading"
    if re.search(rf"<(?:script|style|textarea|iframe)\b[^<>]*{re.escape(item)}", text):
        return "id of a tag that GitHub takes away"
    if re.search(r"(?m)^[ \t>*+.\d)-]+#{1,6} +", text):
        return "heading of a container"
    return "heading with labels" if "][" in text else "anchor"


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("folders", nargs="+", help="folders with Markdown documents")
    parser.add_argument("--all", action="store_true", help="list explained differences, too")
    arguments = parser.parse_args()
    try:
        cmark = importlib.import_module("cmarkgfm")
    except ImportError:
        print("cmark-gfm is needed: pip install cmarkgfm", file=sys.stderr)
        return 3
    left = 0
    for folder in arguments.folders:
        counts, documents = Counter[str](), 0
        for path in markdown_files(folder):
            documents += 1
            for one in differences(path, os.path.relpath(path, folder), cmark):
                counts[one.kind] += 1
                if arguments.all or one.kind not in EXPLAINED:
                    print(f"{folder}/{one.path}: {one.kind}, {one.side} only: {one.what}")
        left += sum(count for kind, count in counts.items() if kind not in EXPLAINED)
        print(
            f"{folder}: {documents} documents; "
            + (", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())) or "no difference")
        )
    return 1 if left else 0


def markdown_files(folder: str) -> Iterator[str]:
    for place, folders, names in sorted(os.walk(folder)):
        folders[:] = sorted(name for name in folders if name != ".git")
        yield from (os.path.join(place, name) for name in sorted(names) if name.lower().endswith((".md", ".markdown")))


if __name__ == "__main__":
    sys.exit(main())
