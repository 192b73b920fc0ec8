"""What a site made of MDX serves under a link: pages without their suffix, files of its own folders, `@site/…`."""

from __future__ import annotations

from posixpath import join, normpath
from typing import TYPE_CHECKING

from orchgate.references.targets import unquoted

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_SUFFIXES = ("", ".mdx", ".md", "/index.mdx", "/index.md")
_SERVED = ("", "static", "public", "pages", "src/pages")
_TOP = "@site"  # the folder of the site, as Docusaurus calls it


def served(entries: Container[str], written: str, folder: str) -> str:
    """The file that a link of a page in `folder` leads to on its site; "" for none. Only what is there is served."""
    path = unquoted(written)
    from_top = path.startswith(("/", _TOP + "/"))
    path = path.removeprefix(_TOP).strip("/")
    places = (
        (join(base, below, path) for base in _upwards(folder) for below in _SERVED)
        if from_top
        else [join(folder, path)]
    )
    named = (normpath(place) + suffix for place in places for suffix in _SUFFIXES)
    return next((name for name in named if name in entries), "")


def called(page: str) -> str:
    """The word that a link to a page holds."""
    return page.rpartition(".")[0].removesuffix("/index").rpartition("/")[2]


def _upwards(folder: str) -> Iterator[str]:
    """The folders in which the site may begin, the nearest first."""
    while folder:
        yield folder
        folder = folder.rpartition("/")[0]
    yield ""
