"""Faults that were there before, each of which excuses one that is there now."""

from __future__ import annotations

from collections import deque

from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orchgate.model import Diagnostic, Finding, Location

    Spellings = Callable[[str], Iterable[str]]

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
