"""The items of a task that name the command which proves them: run, shown, ticked."""

from __future__ import annotations

import os
import sys

from orchgate.acceptance.proof import Proof, ProofRecord, ProofState, documents_of
from orchgate.acceptance.proving import WITHIN, prove
from orchgate.acceptance.writing import TICKED, with_proofs
from orchgate.commands.shared import work_tree
from orchgate.commands.tasks.standing import OPEN, Owed, require_staged
from orchgate.errors import OrchgateError, quoted
from orchgate.evidence.facts import CitedRuns
from orchgate.evidence.run_trees import TreeLookup
from orchgate.lib import files
from orchgate.lib.text import clip, counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.outputs._escape import escape
from orchgate.runs import ids

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.acceptance.writing import TickedDocument
    from orchgate.commands.tasks.standing import Ledger, TaskStanding
    from orchgate.model import Trouble

_SHOWN = 60  # characters of an item's words beside its command


class TaskProofs(NamedTuple):
    """The proofs of one task, and the documents that cannot be read."""

    proofs: tuple[Proof, ...] = ()
    troubles: tuple[Trouble, ...] = ()

    @property
    def to_run(self) -> list[Proof]:
        return [] if os.environ.get(WITHIN) else [one for one in self.proofs if one.to_run]


class Waiting(NamedTuple):
    """Commands that are to be run for a task."""

    task: str
    proofs: list[Proof]


def of(ledger: Ledger, task: TaskStanding) -> TaskProofs:
    """How far the items of a task are proven, by what is staged, and by the runs that are recorded here or pinned."""
    ctx = ledger.context
    documents, troubles = ctx.documents.read(documents_of(task.packet, ctx.snapshot))
    lookup = TreeLookup(ctx.repository, ctx.scope, ctx.snapshot, ctx.base, ctx.config, started=lambda: None)
    artifacts = ctx.artifacts_with(ctx.lock) if ctx.lock is not None else ctx.artifacts
    runs = CitedRuns(ctx.snapshot, artifacts, ctx.config.manifests.max_bytes, ctx.lock)
    record = ProofRecord(runs, artifacts.roots, lookup.judged)
    from orchgate.acceptance.clauses import may_hold_any

    documents = [one for one in documents if may_hold_any(one.text)]
    if documents and ctx.root:
        record.add(_recorded(ctx.root, task, ctx.config.manifests.max_bytes))
    return TaskProofs(tuple(proof for one in documents for proof in record.of(one)), tuple(troubles))


def _recorded(root: str, task: TaskStanding, max_bytes: int) -> Iterator[str]:
    """The manifests of the acceptance runs of a task; most runs are others, which is seen without parsing them."""
    names = sorted(task.packet.names | {task.name} | set(task.packet.entry.names if task.packet.entry else ()))
    for name in names:
        for folder, run in ids.all_runs(root, name, failed=lambda _: None):
            path = os.path.join(ids.run_folder(root, folder, run), ids.MANIFEST)
            try:
                data = files.read(path, max_bytes, follow=False)
            except OSError:
                continue
            if b'"accepts"' in data:
                yield work_tree.inside(root, path)


def waiting(ledger: Ledger, task: TaskStanding, known: TaskProofs) -> Waiting:
    if not ledger.context.root:
        raise OrchgateError("a bare repository has no files to run commands on", "check the task in a clone")
    return Waiting(task.name, known.to_run)


def prove_all(commands: Waiting, *, output: str, seconds: float) -> bool:
    """Runs one command after the other, and says before which these are. Returns whether somebody cancelled that."""
    told = sys.stderr if output == "json" else sys.stdout
    told.writelines(line + "\n" for line in _announced(commands.proofs))
    told.flush()
    for number, proof in enumerate(commands.proofs, 1):
        told.write(f"{number} of {len(commands.proofs)}: {escape(proof.item.command)}\n")
        told.flush()
        # What is in the work tree is looked at again before each: a command may write.
        setting = work_tree.setting(commands.task, work_tree.reporter(output), cache=False, is_known=True)
        if prove(setting, proof, seconds).status == "cancelled":
            return True
    return False


def _announced(proofs: Sequence[Proof]) -> Iterator[str]:
    yield f"runs {counted(len(proofs), 'command')} that the documents name:"
    yield from (f"  {escape(proof.item.command)}" for proof in proofs)


def owed(task: TaskStanding, known: TaskProofs) -> Iterator[Owed]:
    """What is missing beside what the gate says of the same items, and beside boxes that are open."""
    told = {(one.path, one.line) for one in task.owes if one.rule == "EVD016"}
    for proof in known.proofs:
        place = proof.document.location(proof.item.offset)
        open_box = proof.item.checked is False and place.path == task.documents.get("checklist")
        if proof.owed and not open_box and (place.path, place.line) not in told:
            yield Owed("EVD016", *place, f"`{clip(proof.item.command, _SHOWN)}` {_why(proof)}", _help(task, proof))


def _why(proof: Proof) -> str:
    match proof.state:
        case ProofState.PROVEN:
            return "succeeded"
        case ProofState.FAILED:
            return f"{'was cancelled' if proof.why == 'cancelled' else 'failed'}: {proof.manifest}"
        case ProofState.UNPROVEN:
            return "was never run"
        case ProofState.OTHER_TREE:
            return f"is to be run again: the last run {proof.why}"
        case ProofState.UNUSABLE | ProofState.PROSE:
            return proof.why


def _help(task: TaskStanding, proof: Proof) -> str:
    if proof.state is ProofState.UNUSABLE:
        return "name a command that fails when the item does not hold"
    return f"orchgate tasks check {quoted(task.name)}"


def edits(ledger: Ledger, known: TaskProofs) -> list[TickedDocument]:
    """The documents with the proven items ticked, and their runs cited. Raises OrchgateError."""
    found = []
    for path in dict.fromkeys(proof.document.path for proof in known.proofs):
        proofs = [one for one in known.proofs if one.document.path == path]
        edit = with_proofs(proofs[0].document, ledger.context.snapshot.read(path), proofs)
        found += [edit] if edit else []
    return found


def write(ledger: Ledger, found: Sequence[TickedDocument]) -> None:
    """Raises OrchgateError for a document with edits that are not staged: nobody has judged those."""
    root = ledger.context.root
    for edit in found:
        require_staged(ledger, root, edit.path)
    for edit in found:
        files.replace(os.path.join(root, edit.path), edit.text.encode("utf-8", "surrogateescape"))


def ticked(task: TaskStanding, found: Sequence[TickedDocument]) -> Iterator[Owed]:
    """What a task owes, where boxes that were ticked just now are to be staged: what is judged is what is staged."""
    new = {(edit.path, number) for edit in found for number, line in edit.lines if TICKED.match(line)}
    for one in task.owes:
        is_new = not one.rule and (one.path, one.line) in new
        yield one._replace(message=one.message.replace(OPEN, "ticked, not staged: ", 1)) if is_new else one


def lines(known: TaskProofs) -> Iterator[str]:
    """Each command with how it stands."""
    for proof in known.proofs:
        place = f"{proof.document.path}:{proof.document.position(proof.item.place)[0]}"
        if proof.state is ProofState.PROSE:
            yield escape(f"{place}: accept: not run: {proof.why}")
        else:
            yield escape(f"{place}: accept: `{clip(proof.item.command, _SHOWN)}` {_why(proof)}")
    if os.environ.get(WITHIN) and any(proof.to_run for proof in known.proofs):
        yield "no command was run: this is within one already"


def as_json(proof: Proof) -> dict[str, object]:
    return {
        "document": proof.document.path,
        "line": proof.document.position(proof.item.offset)[0],
        "item": proof.item.title,
        "command": proof.item.command or None,
        "ticked": proof.item.checked,
        "state": proof.state.value,
        "manifest_path": proof.manifest or None,
        "cited": proof.cited,
        "why": proof.why or None,
    }
