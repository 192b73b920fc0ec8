"""Pages of sites: where a link such as `/guide/intro` leads, and which configuration says that there is a site.

Generators serve `public/` and `static/` from the top, and pages without their extension. What they do beyond that
(permalinks, slugs, mounts, plug-ins) only they know: a link that is not found may still be right.
"""

from __future__ import annotations

from functools import lru_cache
from posixpath import join, normpath

from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.references.targets import unquoted

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Mapping

    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document


_SCRIPTS = ("js", "ts", "mjs", "mts", "cjs", "cts")
_EACH = "*"  # the folders beside the configuration, not the documents next to it
# Configuration files of generators, with where their pages are from there.
_GENERATORS = {
    **{
        f"{stem}.{suffix}": pages
        for suffix in _SCRIPTS
        for stem, pages in (
            (".vitepress/config", ""),
            (".vitepress/config/index", ""),
            (".vuepress/config", ""),
            ("docusaurus.config", _EACH),
            ("astro.config", "src"),
            ("eleventy.config", "src"),
            ("gatsby-config", _EACH),
            ("nuxt.config", "content"),
            ("rspress.config", "docs"),
        )
    },
    **{f"hugo.{suffix}": "content" for suffix in ("toml", "yaml", "yml", "json")},
    **{f"config/_default/{name}.{suffix}": "content" for name in ("hugo", "config") for suffix in ("toml", "yaml")},
    ".eleventy.js": "src",
    "mkdocs.yml": "docs",
    "mkdocs.yaml": "docs",
    "zensical.toml": "docs",
    "book.toml": "src",
    "_config.yml": _EACH,
    "_config.yaml": _EACH,
    "_quarto.yml": "",
    "docs.json": _EACH,
    "mint.json": _EACH,
}
_NAMES = tuple(_GENERATORS)
# `20-core-concepts/10-routing.md`: chapters of a site whose generator is elsewhere, and takes the numbers away.
_NUMBERED = lazy(r"(?:^|/)\d\d-[^/]+$")
_PAGES_KEY = lazy(r"""(?m)^\s*['"]?(?:docs_dir|srcDir|contentDir|src)['"]?\s*[:=]\s*["']?([\w.-]+(?:/[\w.-]+)*)""")
_MAX_BYTES = 256 * 1024  # of a configuration
_SERVED = (
    "",
    "public",
    "static",
    ".vuepress/public",
    "pages",
    "src/pages",
    "src",
    "content",
    "content/en",
    "docs",
    "assets",
)
_SUFFIXES = (
    "",
    ".md",
    ".mdx",
    "/index.md",
    "/index.mdx",
    "/README.md",
    "/_index.md",
    ".html",
    "/index.html",
    ".markdown",
)
_TOP = "@site"  # the folder of the site, as Docusaurus calls it
_SOURCES = (".md", ".mdx", ".markdown")


@lru_cache(maxsize=1024)
def _configurations(folder: str) -> Mapping[str, str]:
    """The generators' files in a folder, by path."""
    return {join(folder, name): name for name in _GENERATORS}


class Site(NamedTuple):
    """`folder` holds the configuration, `pages` the documents; both "" for the top of the repository."""

    folder: str
    pages: str


class Sites:
    """The sites of one tree. `roots` are the folders that the configuration says are served; then only these count."""

    def __init__(self, snapshot: Snapshot, roots: tuple[str, ...] = ()) -> None:
        self._snapshot = snapshot
        self.roots = tuple(root.strip("/") for root in roots)
        self._known: dict[str, Site | None] = {}

    def covers(self, document: str) -> bool:
        """Whether a document is a page of a site."""
        return self._by_key(document) or self.of(document) is not None

    def _by_key(self, document: str) -> bool:
        return document.startswith(tuple(root + "/" for root in self.roots))

    def of(self, document: str) -> Site | None:
        """The site that a document is a page of, by the nearest configuration of a generator above it."""
        folder = document.rpartition("/")[0]
        if folder not in self._known:
            self._known[folder] = self._site(folder)
        return self._known[folder]

    def _site(self, folder: str) -> Site | None:
        for above in upwards(folder):
            names = _configurations(above)
            there = self._snapshot.entries.keys() & names.keys()
            named = next((name for path, name in names.items() if path in there), "") if there else ""
            if named:
                site = Site(above, self._pages(above, named))
                if _GENERATORS[named] == _EACH and folder == above:
                    return None
                below = site.pages + "/" if site.pages else ""
                return site if f"{folder}/".startswith(below) else None
        numbered = _NUMBERED.search(folder)
        return Site(folder[: numbered.start()], folder[: numbered.start()]) if numbered else None

    def _pages(self, folder: str, name: str) -> str:
        pages = _GENERATORS[name].removesuffix(_EACH)
        try:
            text = self._snapshot.read(join(folder, name), _MAX_BYTES).decode("utf-8", "replace")
        except Unreadable:
            text = ""  # then where they usually are
        match = _PAGES_KEY.search(text)
        wanted = normpath(join(folder, match[1])) if match else ""
        if match and (wanted == "." or wanted in self._snapshot.folders):
            return wanted.removeprefix(".").lstrip("/")
        usual = join(folder, pages) if pages else folder
        return usual if usual in self._snapshot.folders or not pages else folder

    def places(self, written: str, document: str) -> Iterator[str]:
        """The files that a link of a page may lead to."""
        path = unquoted(written)
        folder = document.rpartition("/")[0]
        from_top = path.startswith(("/", _TOP + "/"))
        path = path.removeprefix(_TOP).strip("/")
        bases = self._tops(document) if from_top else self._here(document, folder)
        for base in bases:
            whole = normpath(join(base, path))
            if not whole.startswith("../"):
                yield from (whole + suffix for suffix in _SUFFIXES)
                stem, dot, suffix = whole.rpartition(".")
                if dot and suffix in ("html", "htm"):
                    yield from (stem + source for source in _SOURCES)

    def _here(self, document: str, folder: str) -> Iterator[str]:
        """A page may be served as a folder: then what it points at is one level deeper."""
        yield folder
        name = document.rpartition("/")[2].rpartition(".")[0]
        if name.casefold() not in ("index", "readme", "_index"):
            yield join(folder, name)

    def _tops(self, document: str) -> Iterator[str]:
        if self.roots:
            yield from self.roots
            return
        site = self.of(document)
        tops = (site.pages, site.folder) if site else tuple(upwards(document.rpartition("/")[0]))
        for top in dict.fromkeys(tops):
            yield from (join(top, below) for below in _SERVED)

    def page(self, files: Container[str], written: str, document: str) -> str:
        """The first of some files that a link of a page leads to; "" when it leads to none of them."""
        page = next((place for place in self.places(written, document) if place in files), "")
        return page or (self.elsewhere(written) if files is self._snapshot.entries else "")

    def elsewhere(self, written: str) -> str:
        """The file whose path ends in a link from the top; "" when there is none, or no site in the repository.

        Sites that are put together of several folders serve it, wherever the document is that points at it.
        """
        path = unquoted(written).rstrip("/")
        if self.roots or not path.startswith("/") or path.count("/") < 2 or path.casefold().endswith(_SOURCES):
            return ""
        for whole in (path + suffix for suffix in _SUFFIXES):
            for place in self._snapshot.derived(_by_name).get(whole.rpartition("/")[2], ()):
                if ("/" + place).endswith(whole):
                    return place
        return ""

    def near(self, written: str, document: str) -> bool:
        """Whether the folder of a page that does not exist is there: then the link is hardly right."""
        path, here = unquoted(written).removeprefix(_TOP), document.rpartition("/")[0]
        folder = path.strip("/").rpartition("/")[0]
        if folder in ("", "."):
            return False  # many such routes are no files
        if path.startswith("/"):
            return any(join(top, folder) in self._snapshot.folders for top in self._tops(document))
        site, aim = self.of(document), normpath(join(here, folder))
        inside = site is not None and f"{aim}/".startswith(f"{site.pages}/".lstrip("/"))
        return inside and aim in self._snapshot.folders

    def unknown(self, written: str, document: str) -> bool:
        """Whether only the generator can say if a link leads anywhere: routes, but not files of Markdown."""
        path = written.casefold()
        return not self.roots and not path.endswith(_SOURCES) and self.of(document) is not None and _is_route(path)


def _by_name(tree: Snapshot) -> dict[str, list[str]]:
    """The files of a tree with a site, by name; none of other trees."""
    found: dict[str, list[str]] = {}
    if any(map(is_configuration, tree.entries)):
        for path in tree.entries:
            found.setdefault(path.rpartition("/")[2], []).append(path)
    return found


def _is_route(path: str) -> bool:
    """Whether a generator may serve a path that no file has: from the top, or without an extension."""
    name = path.rpartition("/")[2].strip(".")
    return path.startswith(("/", _TOP + "/")) or "." not in name or name.endswith((".html", ".htm"))


def is_configuration(path: str) -> bool:
    """Whether a file is, by its name, the configuration of a generator."""
    return path.endswith(_NAMES)


def page_name(page: str) -> str:
    """The word that a link to a page contains."""
    return (
        page.rpartition(".")[0]
        .removesuffix("/index")
        .removesuffix("/_index")
        .removesuffix("/README")
        .rpartition("/")[2]
    )


def upwards(folder: str) -> Iterator[str]:
    """A folder and those above it, the nearest first."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""


# Anchors as site generators make them. Each has rules of its own, so they are compared by letters and digits alone.


_NUMBER = lazy(r"[-_]\d+$")
# What puts the text of other files, or of programs, into a page: its headings are not those of the file.
_INCLUDES = lazy(r"--8<--|<!--\s*@?include\b|\{\{#|\{%-?\s*include|\{\{[<%]|^:::\s*\w+\.\w+|^(?:import|export)\s")


def may_have_anchor(document: Document, anchor: str) -> bool:
    """Whether a page made of the document may have an anchor."""
    wanted = {_letters(anchor), _letters(_NUMBER.sub("", anchor))} - {""}
    titles = (text for heading in document.headings for text in (heading.title, heading.anchor))
    return any(_letters(title) in wanted for title in titles) or _INCLUDES.search(document.source) is not None


def _letters(text: str) -> str:
    if text.isascii():
        return "".join(filter(str.isalnum, text.lower()))
    import unicodedata

    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))
