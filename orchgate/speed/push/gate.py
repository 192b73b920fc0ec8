"""Is head slower than base? Answered from the record, by pairs of runs, or by one run against the stored baseline."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, NamedTuple

from orchgate import __version__
from orchgate.errors import GitError, OrchgateError, quoted
from orchgate.git.call import common_dir
from orchgate.model import Severity, Verdict
from orchgate.runner.environment import unhooked
from orchgate.speed.push import stored_verdict, verdict_record
from orchgate.speed.push.stored_verdict import Entry, Key, Said
from orchgate.speed.push.verdict_record import Brought
from orchgate.verdict.values import Sitting

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.repository import Repository
    from orchgate.speed.measurement import Measurement
    from orchgate.speed.push.measure import Found
    from orchgate.speed.push.request import Question
    from orchgate.speed.push.verdict_record import Memory, Turn
    from orchgate.verdict.values import Compared

# What was answered while a repository is open: refs of one push that hold the same trees are measured once, also where
# nobody could tell. It goes with the repository, so nothing outlives the push.
_answered: weakref.WeakKeyDictionary[Repository, dict[Key, tuple[str, Answer]]] = weakref.WeakKeyDictionary()


class Answer(NamedTuple):
    """What is to be said; `facts` are JSON-able.

    `pairs` are new ones, `earlier` those of other pushes; `runs` are those of head alone. `recorded_at` is when it was
    measured, "" for now. `ref` is the other one of this push that it was measured for, "" for this one.
    """

    said: tuple[Said, ...] = ()
    pairs: int = 0
    runs: int = 0
    facts: Mapping[str, object] = {}
    recorded_at: str = ""
    earlier: int = 0
    ref: str = ""


def answer(question: Question) -> Answer:
    """What there is to say about head's speed. Raises OrchgateError where nobody can find out."""
    if question.base is None:
        from orchgate.speed.push.findings import no_baseline

        return Answer((no_baseline(question, "there is no commit before it", Severity.NOTE),))
    trees = tree_of(question.repository, question.base), tree_of(question.repository, question.head)
    if trees[0] == trees[1]:
        return Answer(facts={"not measured": "base and head hold the same files"})
    key = Key(*trees, _asked(question), _machine())
    before = _answered.setdefault(question.repository, {})
    if key in before:
        return _shared(*before[key])
    memory = verdict_record.opened(question.environ, common_dir(question.repository.git_dir), key, question.branch)
    found = _remembered(question, memory) if memory.entry.conclusive else _measured(question, memory)
    if "not measured" not in found.facts:  # what kept this ref may not keep the next
        before[key] = (question.branch or question.head[:12], found)
    return found


def _shared(ref: str, answer_: Answer) -> Answer:
    """An answer of another ref of this push, which holds the same trees."""
    said = tuple(one._replace(message=f"{one.message} (as for {ref})") for one in answer_.said)
    return answer_._replace(said=said, pairs=0, earlier=0, runs=0, facts={"measured for": ref}, ref=ref)


def _measured(question: Question, memory: Memory) -> Answer:
    if not question.repository.root:
        raise OrchgateError("a bare repository has no place to run a pipeline in", "run it in a clone")
    if why := question.hold():
        from orchgate.speed.push.findings import not_measured

        return Answer((not_measured(question, why),), facts={"not measured": why, **memory.facts})
    from orchgate.speed.push.measure import measured

    turn = verdict_record.begun(memory)
    with verdict_record.given_back(turn):
        found = measured(question, memory.key.machine, memory.ran, turn)
        found = _with_definition(question, _with_differences(question, found))
    brought = _brought(question, turn, found)
    facts = verdict_record.ended(turn, brought)
    if memory.vault:  # a machine without a place for it is none to be told of at every push
        for name in ("not trusted", "not recorded"):
            if name in facts:
                question.tell(f"{name}: {facts[name]}")
    said = (*found.said, *_of_branch(question, memory, brought.log_e, slower=brought.slower))
    earlier = len(found.measurement.earlier) if found.measurement else 0
    return Answer(said, found.pairs, found.runs, {**found.facts, **facts}, earlier=earlier)


def _with_differences(question: Question, found: Found) -> Found:
    """What was found without pairs, and what else than the code differs, where that may explain it."""
    from orchgate.speed import differences
    from orchgate.speed.push import findings

    if not found.said or "differs" in found.facts:
        return found
    assert question.base is not None  # or nothing would have been measured
    differs = (
        *differences.of_trees(question.repository, question.base, question.head),
        *differences.variables(question.redefined.variables if question.redefined else ()),
        *differences.machine(question.repository, question.base, question.pipeline),
    )
    said = findings.with_line(found.said, next(differences.told(differs), ""))
    return found._replace(said=said, facts={**found.facts, "differs": list(differs)})


def _with_definition(question: Question, found: Found) -> Found:
    """What a measurement found, and what the change does to the definition of what was measured."""
    change = question.redefined
    if change is None or not change.phrases:
        return found
    from orchgate.speed import added, definition

    budget = question.config.performance.max_seconds
    costs: dict[str, str] = dict.fromkeys(change.added, added.NOT_MEASURED)
    if found.pairs:
        spent = found.facts.get("seconds")
        left = budget - spent if isinstance(spent, float) else 0.0
        costs = added.costs(
            question.repository,
            question.head,
            change,
            environ=unhooked(question.environ),
            prepare=question.config.performance.setup,
            seconds=max(left, added.SHARE * budget),
        )
    # Where head cannot be run for it, that says what the change does.
    known = (change.staged or change.prepared) and any(one.rule == "PRF007" for one in found.said)
    said = found.said if known else (*found.said, *definition.said(change, costs))
    return found._replace(said=said, facts={**found.facts, **definition.facts(change, costs)})


def _brought(question: Question, turn: Turn, found: Found) -> Brought:
    """What is to be kept of a measurement. Failures are nobody's evidence, and what is decided needs no more pairs."""
    at = question.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    measurement = found.measurement
    compared = measurement.judgement.metrics if measurement else ()
    earlier = len(measurement.earlier) if measurement else 0
    entry = Entry(at, found.conclusive, earlier + found.pairs, found.said)
    ran = tuple(one._replace(at=at) for one in found.ran)
    brought = Brought(entry, ran=ran)
    if measurement is None or measurement.failures or not measurement.pairs:
        return brought._replace(pairs=measurement.pairs if measurement else ())
    sitting = measurement.sitting or Sitting(earlier, entry.judged, turn.share)
    return brought._replace(
        pairs=measurement.pairs,
        sitting=sitting,
        log_e=_log_e(question, measurement),
        slower=any(map(_is_slower, compared)),
    )


def _is_slower(one: Compared) -> bool:
    """Whether it is decided that head takes more time, by however little."""
    return one.name.endswith("_seconds") and one.verdict in (Verdict.WARN, Verdict.FAIL) and not one.probably


def _log_e(question: Question, measurement: Measurement) -> float | None:
    """What all pairs of head say of its CPU time."""
    from orchgate.verdict import betting
    from orchgate.verdict.sequential import PRIMARY
    from orchgate.verdict.values import policy

    metric = policy(question.config.performance).metrics.get(PRIMARY)
    pairs = (*measurement.earlier, *measurement.pairs)
    return None if metric is None else betting.log_e_value(pairs, metric) or None


def _of_branch(question: Question, memory: Memory, log_e: float | None, *, slower: bool) -> tuple[Said, ...]:
    """What this head and those before it on its branch say together."""
    if log_e is None or log_e <= 0 or slower or not memory.branch:
        return ()
    from orchgate.speed.push import verdict_record
    from orchgate.speed.push.findings import slower_together

    row = verdict_record.with_head(memory.heads, verdict_record.Head(memory.key.head, log_e))
    return slower_together(question, row)


def tree_of(repository: Repository, commit: str) -> str:
    """Hex id of a commit's tree. Raises GitError."""
    found = repository.blobs.resolve(commit + "^{tree}", 0)
    if found is None:
        raise GitError(f"the tree of {commit[:12]} is not here", repository.deepen)
    return found.oid


def _asked(question: Question) -> str:
    """Everything besides the two trees that decides what a measurement says. Pipelines are part of the trees."""
    performance = question.config.performance
    programs = stored_verdict.of_question(question.config, question.repository.root, question.environ)
    return stored_verdict.digest(
        [__version__, stored_verdict.VERSION, performance._replace(max_seconds=0.0), *programs]
    )


def _machine() -> str:
    from orchgate.runs.machine import fingerprint

    return str(fingerprint()["fingerprint"])


def _remembered(question: Question, memory: Memory) -> Answer:
    known = memory.entry
    again = f"to measure again: rm {quoted(memory.path)}"
    said = tuple(
        one._replace(
            message=f"{one.message} (from the record of {known.at})",
            # A note is no reason to measure again.
            hint="" if one.severity is Severity.NOTE else f"{one.hint}; {again}" if one.hint else again,
        )
        for one in known.said
    )
    log_e = next((head.log_e for head in memory.heads if head.tree == memory.key.head), None)
    facts = {"recorded at": known.at, "recorded pairs": known.judged, **memory.facts}
    return Answer((*said, *_of_branch(question, memory, log_e, slower=False)), 0, 0, facts, known.at)
