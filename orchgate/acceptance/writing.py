"""Ticks an item whose command succeeded, and names the run behind it; nothing else of its document changes."""

from __future__ import annotations

import re

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from orchgate.acceptance.proof import Proof
    from orchgate.markdown.document import Document

TICKED = re.compile(r"[ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+\[[xX]\]")
_BOX = re.compile(r"([ \t>]*(?:[-*+]|\d{1,9}[.)])[ \t]+)\[ \](?=[ \t]|$)")


class TickedDocument(NamedTuple):
    """A document with the proven items ticked: its text, and the lines that changed, from 1."""

    path: str
    text: str
    lines: tuple[tuple[int, str], ...]


def with_proofs(document: Document, raw: bytes, proofs: Sequence[Proof]) -> TickedDocument | None:
    """A document in which all of the proofs are cited, and the boxes of items with nothing else to prove are ticked.

    None where nothing changes. `proofs` are those of the document that are proven, and those that are not: an item may
    name two commands. Raises OrchgateError for a document whose lines cannot be told apart.
    """
    lines = raw.decode("utf-8", "surrogateescape").split("\n")
    _check_lines(document, lines)
    before = list(lines)
    open_items = {proof.item.offset for proof in proofs if proof.owed}
    for proof in proofs:
        if not proof.manifest or proof.owed or proof.state.value != "proven":
            continue
        if not proof.cited:
            _cite(lines, document, proof)
        if proof.item.checked is False and proof.item.offset not in open_items:
            number = document.position(proof.item.offset)[0] - 1
            lines[number] = _BOX.sub(r"\1[x]", lines[number], count=1)
    changed = tuple((at, line.rstrip("\r")) for at, line in enumerate(lines, 1) if line != before[at - 1])
    return TickedDocument(document.path, "\n".join(lines), changed) if changed else None


def _check_lines(document: Document, lines: Iterable[str]) -> None:
    known = document.source.split("\n")
    if [line.rstrip("\r").removeprefix("\ufeff") for line in lines] != known:
        raise OrchgateError(
            f"{document.path}: its line ends or its encoding are not usual ones; nothing was written",
            "tick the item by hand",
        )


def _cite(lines: list[str], document: Document, proof: Proof) -> None:
    first, last = (document.position(offset)[0] - 1 for offset in (proof.item.offset, proof.item.end))
    for number in range(first, min(last + 1, len(lines))):
        for old in proof.stale:
            if old in lines[number]:
                lines[number] = lines[number].replace(old, proof.manifest)
                return
    number = document.position(proof.item.after)[0] - 1
    line = lines[number]
    content = line.rstrip(" \t\r")
    lines[number] = f"{content.rstrip('.')} — Evidence: `{proof.manifest}`" + line[len(content) :].replace(" ", "")
