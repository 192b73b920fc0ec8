"""`<!-- orchgate: ignore[EVD001] reason -->` on or above a line, and `per-file-ignores` of the configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate.globs import matches
from orchgate.model import Finding, Location, Rule, Severity
from orchgate.patterns import lazy

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orchgate.config.settings import Ignore
    from orchgate.documents.markdown import Document

RULES = (
    Rule(
        "SUP001",
        "suppression without a reason",
        Severity.ERROR,
        what="An ignore comment names a rule but says nothing about why. It suppresses nothing.",
        why="The next reader cannot tell a decision from an accident, and the exception outlives its cause.",
        bad="<!-- orchgate: ignore[EVD001] -->",
        good="<!-- orchgate: ignore[EVD001] the run was deleted by the retention policy -->",
    ),
    Rule(
        "SUP002",
        "suppression that suppresses nothing",
        Severity.WARNING,
        what="An ignore comment names a rule that reports nothing on this line or the next, or that does not exist.",
        why="A stale exception hides the fault that comes back later.",
        bad="<!-- orchgate: ignore[EVD001] old link --> above a line whose link resolves",
        good="the comment is deleted together with its cause",
    ),
)
_LOOK_BACK = 200  # characters in front of a comment that can make it one at the end of a line
_TEXT = lazy(r"\S")
_COMMENT = lazy(r"(?s)\s*orchgate:\s*ignore\[([^\]\n]*)\](.*)")

MARK = "orchgate:"


class Suppression(NamedTuple):
    """One comment: the rules it names, its reason, and the lines it covers (0 covers findings of the whole file)."""

    location: Location
    rules: tuple[str, ...]
    reason: str
    lines: frozenset[int]


def read(document: Document) -> tuple[Suppression, ...]:
    """The suppressions of a document. A comment before the first heading also covers findings of the whole file."""
    if MARK not in document.text:
        return ()
    found = []
    below: dict[int, int] = {}  # offset of a comment -> line of the text below it, past other comments
    for comment in reversed(document.comments):
        below[comment.offset] = _line_below(document, comment.offset, below)
        match = _COMMENT.fullmatch(comment.text)
        if match is None:
            continue
        rules = tuple(rule.strip() for rule in match[1].split(",") if rule.strip())
        lines = _covered(document, comment.offset, below[comment.offset])
        found.append(Suppression(document.location(comment.offset), rules, match[2].strip(), lines))
    return tuple(reversed(found))


def _line_below(document: Document, offset: int, below: Mapping[int, int]) -> int:
    end = document.text.find("-->", offset)
    text = _TEXT.search(document.text, end + 3) if end >= 0 else None
    at = offset if text is None else text.start()
    return below.get(at) or document.position(at)[0]


def _covered(document: Document, offset: int, below: int) -> frozenset[int]:
    """Its own line; the line below unless it stands at the end of a text; 0 before the first heading."""
    far = max(offset - _LOOK_BACK, 0)
    start = max(document.text.rfind("\n", far, offset) + 1, far)
    alone = not document.text[start:offset].strip(" \t>*+-")
    early = not document.headings or offset < document.headings[0].body
    return frozenset({document.position(offset)[0], *((below,) if alone else ()), *((0,) if early else ())})


def reason_for(finding: Finding, suppressions: Iterable[Suppression]) -> tuple[Suppression, str] | None:
    """The suppression that covers a finding and its reason."""
    for suppression in suppressions:
        covers = finding.location.line in suppression.lines and finding.rule in suppression.rules
        if covers and suppression.reason:
            return suppression, suppression.reason
    return None


def configured_reason(finding: Finding, ignores: Mapping[str, Ignore]) -> str | None:
    """Why `per-file-ignores` silences a finding, or None."""
    for pattern, ignore in ignores.items():
        if finding.rule in ignore.rules and matches(finding.location.path, (pattern,)):
            return ignore.reason
    return None


def complaints(
    suppressions: Iterable[Suppression],
    used: set[tuple[Suppression, str]],
    judged: frozenset[str],
    known: frozenset[str],
) -> tuple[Finding, ...]:
    """Findings about the suppressions themselves.

    `used` holds each suppression with the rules it silenced; `judged` the rules of the checks that ran: only of those
    can be said that nothing was there to suppress.
    """
    found = []
    for suppression in suppressions:
        if not suppression.reason:
            found.append(
                Finding("SUP001", suppression.location, "the ignore comment gives no reason", "write why after the ]")
            )
            continue
        if not suppression.rules:
            found.append(
                Finding("SUP002", suppression.location, "the ignore comment names no rule", "ignore[RULE] reason")
            )
        for rule in suppression.rules:
            if rule not in known:
                found.append(
                    Finding("SUP002", suppression.location, f"{rule} is not a rule", "orchgate explain lists them")
                )
            elif rule in judged and (suppression, rule) not in used:
                message = f"nothing to suppress: {rule} reports nothing here"
                found.append(Finding("SUP002", suppression.location, message, "delete the comment"))
    return tuple(found)
