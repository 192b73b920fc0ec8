"""`<!-- orchgate: ignore[EVD001] reason -->` on or above a line, and `[[ignore]]` of the configuration.

In MDX, which has no such comments, `{/* orchgate: ignore[EVD001] reason */}`.
"""

from __future__ import annotations

from orchgate import registry
from orchgate.config.settings import family
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from orchgate.config.settings import Ignore
    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import Comment

RULES = (
    Rule(
        "SUP001",
        "suppression without a reason",
        Severity.ERROR,
        what="An ignore comment names a rule but does not say why. It suppresses nothing.",
        why="Later readers cannot tell a decision from an accident, and the exception outlives its cause.",
        bad="<!-- orchgate: ignore[EVD001] -->",
        good="<!-- orchgate: ignore[EVD001] the run was deleted by the retention policy -->",
    ),
    Rule(
        "SUP002",
        "suppression that suppresses nothing",
        Severity.WARNING,
        what="An ignore comment names a rule that reports nothing on this line or the next, a rule that does not "
        "exist, or no rule in brackets.",
        why="A stale exception hides the fault when it comes back, and a misspelled one never hid anything.",
        bad="<!-- orchgate: ignore[EVD001] old link --> above a line whose link resolves",
        good="the comment deleted together with its cause",
    ),
)
_LOOK_BACK = 200  # characters in front of a comment that can make it one at the end of a line
_TEXT = lazy(r"\S")
_SIGN = lazy(r"orchgate[:\s]*+ignore")
_COMMENT = lazy(r"(?s)\s*+orchgate\s*+(:?)\s*+ignore\b\s*+:?\s*+(?:\[([^\]\n]*)\])?(.*)")
_BARE = lazy(r"[A-Za-z]{3}\d{3}\b(?:\s*,\s*[A-Za-z]{3}\d{3}\b)*")  # rules without brackets

_WILD = lazy(r"[*?\[{!\\]|/$")  # what may make a glob of an entry, or take one back


def every_rule() -> Mapping[str, tuple[str, Rule]]:
    """Every rule by id, with the id of what reports it: those of all checks, and those about suppressions."""
    return {**registry.rules(), **{rule.id: ("suppressions", rule) for rule in RULES}}


class Suppression(NamedTuple):
    """One comment: the rules it names, its reason, and the lines it covers (0 covers findings of the whole file).

    `bare` is what stands where the rules in brackets belong; such a comment suppresses nothing.
    """

    location: Location
    rules: tuple[str, ...]
    reason: str
    lines: frozenset[int]
    bare: str = ""


def may_hold(source: str) -> bool:
    """Whether a text may have suppressions. Most have none, and their comments need not be looked for."""
    return "orchgate" in source and _SIGN.search(source) is not None


def read(document: Document) -> tuple[Suppression, ...]:
    """The suppressions of a document. A comment before the first heading also covers findings of the whole file."""
    if not may_hold(document.source):
        return ()
    found = []
    below: dict[int, int] = {}  # offset of a comment -> line of the text below it, past other comments
    for comment in reversed(document.comments):
        below[comment.offset] = _line_below(document, comment, below)
        match = _COMMENT.fullmatch(comment.text)
        if match is None:
            continue
        colon, listed, reason = match.groups()
        bare = _BARE.match(reason) if listed is None else None
        if listed is None and not colon and bare is None:
            continue  # a sentence, such as "orchgate ignore lists are in the configuration"
        rules = tuple(rule.strip().upper() for rule in (listed or "").split(",") if rule.strip())
        lines = _covered(document, comment.offset, below[comment.offset])
        place = document.location(comment.offset)
        found.append(Suppression(place, rules, reason.strip(), lines, bare[0].upper() if bare else ""))
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
    """Why the configuration silences a finding. An entry without wildcards is looked up, not compared."""

    def __init__(self, ignores: Iterable[Ignore]) -> None:
        self._exact: dict[str, list[tuple[int, Ignore]]] = {}
        self._globs: list[tuple[int, Ignore]] = []
        for number, ignore in enumerate(ignores):
            if any(map(_WILD.search, ignore.paths)):
                self._globs.append((number, ignore))
            else:
                for path in ignore.paths:
                    self._exact.setdefault(path, []).append((number, ignore))
        self._known: dict[str, list[Ignore]] = {}

    def reason(self, finding: Finding) -> str | None:
        """The reason of the first entry that names the rule and matches the path, or None."""
        if not self._exact and not self._globs:
            return None
        path = finding.location.path
        if path not in self._known:
            self._known[path] = self._matching(path)
        named = (finding.rule, family(finding.rule))
        return next((one.reason for one in self._known[path] if any(rule in one.rules for rule in named)), None)

    def _matching(self, path: str) -> list[Ignore]:
        found = list(self._exact.get(path, ()))
        found += [(number, ignore) for number, ignore in self._globs if matches(path, ignore.paths)]
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
    return tuple(finding for one in suppressions for finding in _complaints(one, used, judged, known))


def _complaints(
    one: Suppression, used: Collection[tuple[Location, str]], judged: frozenset[str], known: frozenset[str]
) -> Iterator[Finding]:
    if one.bare:
        message = "an ignore comment without brackets suppresses nothing"
        yield Finding("SUP002", one.location, message, f"write ignore[{one.bare}] and the reason")
    elif not one.reason:
        message = "the ignore comment gives no reason, so it suppresses nothing"
        yield Finding("SUP001", one.location, message, "write the reason after the ]")
    elif not one.rules:
        yield Finding("SUP002", one.location, "the ignore comment names no rule", "write ignore[RULE] and the reason")
    else:
        for rule in one.rules:
            if rule not in known:
                yield Finding("SUP002", one.location, f"there is no rule {rule}", "orchgate explain")
            elif rule in judged and (one.location, rule) not in used:
                message = f"nothing to suppress: {rule} reports nothing here"
                yield Finding("SUP002", one.location, message, "delete the comment")
