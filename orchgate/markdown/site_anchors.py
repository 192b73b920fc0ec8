"""Anchors as site generators make them. Each has rules of its own, so they are compared by letters and digits alone."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from orchgate.markdown.document import Document

_NUMBER = lazy(r"[-_]\d+$")
# What puts the text of other files, or of programs, into a page: its headings are not those of the file.
_INCLUDES = lazy(r"--8<--|<!--\s*@?include\b|\{\{#|\{%-?\s*include|\{\{[<%]|^:::\s*\w+\.\w+|^(?:import|export)\s")


def may_have(document: Document, anchor: str) -> bool:
    """Whether a page made of the document may have an anchor."""
    wanted = {_letters(anchor), _letters(_NUMBER.sub("", anchor))} - {""}
    titles = (text for heading in document.headings for text in (heading.title, heading.anchor))
    return any(_letters(title) in wanted for title in titles) or _INCLUDES.search(document.source) is not None


def _letters(text: str) -> str:
    if text.isascii():
        return "".join(filter(str.isalnum, text.lower()))
    import unicodedata

    return "".join(filter(str.isalnum, unicodedata.normalize("NFKD", text).casefold()))
