"""`<!-- orchgate: ignore[EVD001] reason -->` on or above a line, and `per-file-ignores` of the configuration.

In MDX, which has no such comments, `{/* orchgate: ignore[EVD001] reason */}`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate import registry
from orchgate.lib.globs import matches
from orchgate.lib.patterns import lazy
from orchgate.model import Finding, Location, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from orchgate.config.settings import Ignore
    from orchgate.markdown.document import Comment, Document

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

_WILD = lazy(r"[*?\[{!\\]|/$")  # what may make a glob of an entry, or take one back

MARK = "orchgate:"


def every_rule() -> Mapping[str, tuple[str, Rule]]:
    """Every rule by id, with the id of what reports it: those of all checks, and those about suppressions."""
    return {**registry.rules(), **{rule.id: ("suppressions", rule) for rule in RULES}}


class Suppression(NamedTuple):
    """One comment: the rules it names, its reason, and the lines it covers (0 covers findings of the whole file)."""

    location: Location
    rules: tuple[str, ...]
    reason: str
    lines: frozenset[int]


def read(document: Document) -> tuple[Suppression, ...]:
    """The suppressions of a document. A comment before the first heading also covers findings of the whole file."""
    if MARK not in document.source:
        return ()
    found = []
    below: dict[int, int] = {}  # offset of a comment -> line of the text below it, past other comments
    for comment in reversed(document.comments):
        below[comment.offset] = _line_below(document, comment, below)
        match = _COMMENT.fullmatch(comment.text)
        if match is None:
            continue
        rules = tuple(rule.strip() for rule in match[1].split(",") if rule.strip())
        lines = _covered(document, comment.offset, below[comment.offset])
        found.append(Suppression(document.location(comment.offset), rules, match[2].strip(), lines))
    return tuple(reversed(found))


def _line_below(document: Document, comment: Comment, below: Mapping[int, int]) -> int:
    text = _TEXT.search(document.source, comment.end)
    at = comment.offset if text is None else text.start()
    return below.get(at) or document.position(at)[0]


def _covered(document: Document, offset: int, below: int) -> frozenset[int]:
    """Its own line; the line below unless it stands at the end of a text; 0 before the first heading."""
    far = max(offset - _LOOK_BACK, 0)
    start = max(document.text.rfind("\n", far, offset) + 1, far)
    alone = not document.text[start:offset].strip(" \t>*+-")
    early = not document.headings or offset < document.headings[0].body
    return frozenset({document.position(offset)[0], *((below,) if alone else ()), *((0,) if early else ())})


class Covering:
    """Which suppression covers a finding, of one document; asked once a finding, whatever the number of comments."""

    def __init__(self, suppressions: Iterable[Suppression] = ()) -> None:
        self.all = tuple(suppressions)
        self._first: dict[tuple[str, int], Suppression] = {}
        for one in self.all:
            if one.reason:
                for rule in one.rules:
                    for line in one.lines:
                        self._first.setdefault((rule, line), one)

    def of(self, finding: Finding) -> Suppression | None:
        """The first one with a reason."""
        return self._first.get((finding.rule, finding.location.line))


class Configured:
    """Why `per-file-ignores` silences a finding. An entry without wildcards is looked up, not compared."""

    def __init__(self, ignores: Mapping[str, Ignore]) -> None:
        self._exact: dict[str, list[tuple[int, Ignore]]] = {}
        self._globs: list[tuple[int, str, Ignore]] = []
        for turn, (pattern, ignore) in enumerate(ignores.items()):
            if _WILD.search(pattern):
                self._globs.append((turn, pattern, ignore))
            else:
                self._exact.setdefault(pattern, []).append((turn, ignore))
        self._known: dict[str, list[Ignore]] = {}

    def reason(self, finding: Finding) -> str | None:
        """The reason of the first entry that names the rule and matches the path, or None."""
        path = finding.location.path
        if path not in self._known:
            self._known[path] = self._matching(path)
        return next((ignore.reason for ignore in self._known[path] if finding.rule in ignore.rules), None)

    def _matching(self, path: str) -> list[Ignore]:
        found = list(self._exact.get(path, ()))
        found += [(turn, ignore) for turn, pattern, ignore in self._globs if matches(path, (pattern,))]
        return [ignore for _, ignore in sorted(found, key=lambda turn_ignore: turn_ignore[0])]


def complaints(
    suppressions: Iterable[Suppression],
    used: Collection[tuple[Location, str]],
    judged: frozenset[str],
    known: frozenset[str],
) -> tuple[Finding, ...]:
    """Findings about the suppressions themselves.

    `used` holds the place of each suppression with the rules it silenced; `judged` the rules of the checks that ran:
    only of those can be said that nothing was there to suppress.
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
            elif rule in judged and (suppression.location, rule) not in used:
                message = f"nothing to suppress: {rule} reports nothing here"
                found.append(Finding("SUP002", suppression.location, message, "delete the comment"))
    return tuple(found)
