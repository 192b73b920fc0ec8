"""What excuses a finding: an ignore with its reason, or a fault that was there before."""

from __future__ import annotations

from collections import deque

from orchgate import registry
from orchgate.config.settings import family
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Finding, Location, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

    from orchgate.config.settings import Ignore
    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import Comment
    from orchgate.model import Diagnostic

    Spellings = Callable[[str], Iterable[str]]

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

# What no comment excuses: whoever writes a document would excuse themselves from what others must sign.
UNEXCUSED = frozenset(("EVD014",))
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
                for rule in (rule for rule in one.rules if rule not in UNEXCUSED):
                    for line in one.lines:
                        self._first.setdefault((rule, line), one)

    def of(self, finding: Finding) -> Suppression | None:
        """The first one with a reason."""
        return self._first.get((finding.rule, finding.location.line))


NONE = Covering()


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
            elif rule in UNEXCUSED:
                message = f"{rule} cannot be ignored in a document: the configuration of the base decides"
                yield Finding("SUP002", one.location, message, "delete the comment")
            elif rule in judged and (one.location, rule) not in used:
                message = f"nothing to suppress: {rule} reports nothing here"
                yield Finding("SUP002", one.location, message, "delete the comment")


# Faults that were there before, each of which excuses one that is there now


KNOWN = ".orchgate/known.json"  # see `gate.known`
GONE = "known findings that are gone"  # a fact of a check
MOVED = "known findings that are in other documents"  # another one
ELSEWHERE = "\0"  # stands with the documents of a fault that may have moved to any other one
# Rules that are about words of the document, which go along when a paragraph moves to another one. What a document
# lacks does not: an empty section that was filled here is no excuse for one of the same name there.
WRITTEN = frozenset(
    (
        *("EVD001", "EVD002", "EVD003", "EVD004", "EVD005", "EVD006", "EVD007", "EVD013"),
        *("DOC004", "CMD001", "CMD002"),
    )
)
# Rules some of whose findings are about several documents.
ACROSS = frozenset(("DOC001", "DOC005", "EVD010"))
WEIGHT = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


class Fault(NamedTuple):
    """One thing that a finding is about. `paths` are its document, or all those of its packet."""

    rule: str
    paths: tuple[str, ...]
    about: str
    weight: int

    @property
    def words(self) -> str:
        """Of a rule in `WRITTEN`: what stands in the document. Messages about a command quote it."""
        return self.about.split("`")[1] if self.rule.startswith("CMD") and self.about.count("`") > 1 else self.about


def faults_of(diagnostic: Diagnostic) -> Iterator[Fault]:
    """What a finding is about: one fault, or several that it reports together."""
    finding = diagnostic.finding
    for about in finding.about or (finding.message,):
        yield Fault(finding.rule, paths_of(finding), about, WEIGHT[diagnostic.severity])


def paths_of(finding: Finding) -> tuple[str, ...]:
    path, documents = finding.location.path, finding.documents
    return tuple(dict.fromkeys((path, *documents))) if documents else (path,)


class Excused(NamedTuple):
    """Numbers of the findings that were there: in the document that they are in, or in another one."""

    here: set[int]
    moved: set[int]


def _as_it_is(about: str) -> tuple[str, ...]:
    return (about,)


class _Slot:
    """One fault that was there before."""

    __slots__ = ("free", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.free = True


class EarlierFaults:
    """The faults that were there before; each excuses one that is there now and weighs no more."""

    def __init__(
        self,
        faults: Iterable[Fault],
        places: Iterable[tuple[str, Location]] = (),
        movable: Callable[[Fault], bool] = lambda fault: False,  # noqa: ARG005
    ) -> None:
        """`places` are those of the findings, with their rules, where they are known.

        What is `movable` and not found where it was excuses the same in another document.
        """
        self._places = frozenset(places)
        self._slots: list[_Slot] = []
        self._by_place: dict[tuple[str, str, str], deque[_Slot]] = {}
        for fault in sorted(faults, key=lambda fault: -fault.weight):
            slot = _Slot(fault.weight)
            self._slots.append(slot)
            for path in (*fault.paths, ELSEWHERE) if movable(fault) else fault.paths:
                self._by_place.setdefault((fault.rule, path, fault.about), deque()).append(slot)

    @property
    def left(self) -> int:
        """How many are not there any more, or weigh less than what is."""
        return sum(slot.free for slot in self._slots)

    def order(self, now: Iterable[tuple[int, Diagnostic]]) -> list[tuple[int, Diagnostic]]:
        """Numbered findings, the heaviest first, then what is where it was: so those are new that were added."""
        return sorted(now, key=lambda one: (-WEIGHT[one[1].severity], not self._is_in_place(one[1].finding)))

    def _is_in_place(self, finding: Finding) -> bool:
        return (finding.rule, finding.location) in self._places

    def excused(self, now: Sequence[tuple[int, Sequence[Fault]]], spellings: Spellings = _as_it_is) -> Excused:
        """Numbers of the findings all of whose faults were there: first where they are, then in other documents."""
        here = {at for at, faults in now if self.excuse(faults, spellings)}
        left = ((at, [one._replace(paths=(*one.paths, ELSEWHERE)) for one in faults]) for at, faults in now)
        moved = {at for at, faults in left if at not in here and self.excuse(faults, spellings)}
        return Excused(here, moved)

    def excuse(self, faults: Sequence[Fault], spellings: Spellings = _as_it_is) -> bool:
        """Whether all of these were there, in one of the spellings; then they excuse nothing else."""
        taken: list[tuple[deque[_Slot], _Slot]] = []
        for fault in faults:
            names = ((fault.rule, path, about) for about in spellings(fault.about) for path in fault.paths)
            queues = (self._by_place.get(name) for name in names)
            found = next((queue for queue in queues if queue and _heaviest(queue) >= fault.weight), None)
            if found is None:
                break
            found[0].free = False
            taken.append((found, found.popleft()))
        else:
            return True
        for queue, slot in reversed(taken):
            slot.free = True
            queue.appendleft(slot)
        return False


def _heaviest(queue: deque[_Slot]) -> int:
    """The weight of the first that is left; they are in this order. A slot stands with each document of its packet."""
    while queue and not queue[0].free:
        queue.popleft()
    return queue[0].weight if queue else -1
