"""How far the items of a task are proven: by the newest run of their command that is of the tree that lands."""

from __future__ import annotations

from collections import defaultdict

from orchgate.acceptance.clauses import accepted_items
from orchgate.acceptance.commands import why_unusable
from orchgate.acceptance.findings import recorded_words
from orchgate.errors import OrchgateError
from orchgate.evidence.facts import SUCCEEDED
from orchgate.evidence.run_trees import why_other_tree
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.markdown.parts import is_markdown
from orchgate.runs.locate import mentioned

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.acceptance.clauses import AcceptedItem
    from orchgate.evidence.facts import CitedRuns
    from orchgate.evidence.lock import RunFacts
    from orchgate.evidence.run_trees import TreeCriteria
    from orchgate.git.snapshot import Snapshot
    from orchgate.markdown.document import Document
    from orchgate.packets.layout import Packet

PIPELINE = "accept"


class ProofState(Enum):
    """PROSE: `accept:` is followed by no command. UNUSABLE: by one that is never run."""

    PROVEN = "proven"
    FAILED = "failed"
    OTHER_TREE = "other-tree"
    UNPROVEN = "unproven"
    UNUSABLE = "unusable"
    PROSE = "prose"


class Proof(NamedTuple):
    """An item, and what is known of it. `manifest` is of the run that says so, "" for none; `cited`: the item names it.

    `stale` are the acceptance runs that the item cites besides. `why` is the end of a sentence.
    """

    document: Document
    item: AcceptedItem
    state: ProofState
    manifest: str = ""
    cited: bool = False
    stale: tuple[str, ...] = ()
    why: str = ""

    @property
    def to_run(self) -> bool:
        return self.state in (ProofState.FAILED, ProofState.OTHER_TREE, ProofState.UNPROVEN)

    @property
    def owed(self) -> bool:
        return self.state not in (ProofState.PROVEN, ProofState.PROSE)


def documents_of(packet: Packet, tree: Snapshot) -> list[str]:
    """The documents of a packet, and where it has a folder of its own, all others in there: its scenarios."""
    folders = {path.rpartition("/")[0] for path in packet.paths}
    found = dict.fromkeys(packet.paths)
    if len(folders) == 1 and (folder := next(iter(folders))) and folder.rpartition("/")[2] in packet.names:
        found |= dict.fromkeys(path for path in sorted(tree.starting(folder + "/")) if is_markdown(path))
    return list(found)


class ProofRecord:
    """The acceptance runs of a task by their command, the newest first; those that nobody can read are left out."""

    def __init__(self, runs: CitedRuns, roots: tuple[str, ...], judged: TreeCriteria) -> None:
        self._runs = runs
        self._roots = roots
        self._judged = judged
        self._found: dict[str, dict[str, RunFacts]] = defaultdict(dict)

    def add(self, manifests: Iterable[str]) -> None:
        for path in manifests:
            try:
                facts = self._runs.facts(path)
            except OrchgateError:
                continue
            if facts.accepts:
                self._found[facts.accepts["command"]][path] = facts

    def of(self, document: Document) -> Iterator[Proof]:
        """How far each item of a document is proven."""
        cited: dict[int, tuple[str, ...]] = {}  # by items: one may name many commands
        for item in accepted_items(document):
            if item.offset not in cited:
                cited[item.offset] = tuple(mentioned(document.text[item.offset : item.end], self._roots))
                self.add(cited[item.offset])
            yield self._proof(document, item, cited[item.offset])

    def _proof(self, document: Document, item: AcceptedItem, cited: tuple[str, ...]) -> Proof:
        if item.problem:
            return Proof(document, item, ProofState.PROSE, why=item.problem)
        if why := why_unusable(item.command):
            return Proof(document, item, ProofState.UNUSABLE, why=why)
        words, command = recorded_words(item)
        every = self._found.get(command, {})
        known = {path: facts for path, facts in every.items() if path in cited or facts.accepts["item"] == words}
        own = {path for runs in self._found.values() for path in runs}
        state, manifest, why = self._newest(known, cited)
        stale = tuple(path for path in cited if path in own and path != manifest)
        return Proof(document, item, state, manifest, manifest in cited, stale, why)

    def _newest(self, known: Mapping[str, RunFacts], cited: tuple[str, ...]) -> tuple[ProofState, str, str]:
        """What the newest run of this tree says; of several that succeeded, the one that is cited already is named."""
        newest = sorted(known.items(), key=lambda one: one[1].run_id, reverse=True)
        others = {path: why for path, facts in newest if (why := why_other_tree(facts, self._judged))}
        own = [
            (path, facts.status.casefold() in SUCCEEDED, facts.status) for path, facts in newest if path not in others
        ]
        if own and own[0][1]:
            passed = [path for path, succeeded, _ in own if succeeded]
            return ProofState.PROVEN, next((path for path in passed if path in cited), passed[0]), ""
        if own:
            return ProofState.FAILED, own[0][0], own[0][2]
        return (ProofState.OTHER_TREE, *next(iter(others.items()))) if others else (ProofState.UNPROVEN, "", "")
