"""Is head slower than base? Answered from the record, by pairs of runs, or by one run against the stored baseline."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orchgate import __version__
from orchgate.errors import GitError, OrchgateError
from orchgate.git.call import common_dir
from orchgate.model import Severity
from orchgate.runs.environment import unhooked
from orchgate.speed import verdicts
from orchgate.speed.verdicts import Key, Recorded, Said

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.git.repository import Repository
    from orchgate.speed.push_measure import Found
    from orchgate.speed.question import Question


class Answer(NamedTuple):
    """What is to be said; `facts` are JSON-able.

    `runs` are those of head alone. `recorded_at` is when it was measured, "" for now.
    """

    said: tuple[Said, ...] = ()
    pairs: int = 0
    runs: int = 0
    facts: Mapping[str, object] = {}
    recorded_at: str = ""


def answer(question: Question) -> Answer:
    """What there is to say about head's speed. Raises OrchgateError where nobody can find out."""
    if question.base is None:
        from orchgate.speed.push_words import no_baseline

        return Answer((no_baseline(question, "there is no commit before it", Severity.NOTE),))
    trees = tree_of(question.repository, question.base), tree_of(question.repository, question.head)
    if trees[0] == trees[1]:
        return Answer(facts={"not measured": "base and head hold the same files"})
    path = verdicts.path_in(common_dir(question.repository.git_dir))
    record = verdicts.read(path)
    key = Key(*trees, _asked(question), _machine())
    ignored = {"unreadable lines of the record": record.ignored} if record.ignored else {}
    known = record.find(key)
    if known is not None:
        return _remembered(known, path, ignored)
    if not question.repository.root:
        raise OrchgateError("a bare repository has no place to run a pipeline in", "run it in a clone")
    if why := question.hold():
        from orchgate.speed.push_words import not_measured

        return Answer((not_measured(question, why),), facts={"not measured": why, **ignored})
    from orchgate.speed.push_measure import measured

    found = _with_definition(question, measured(question, key.machine, record.pair_seconds(key.asked, key.machine)))
    return Answer(
        found.said, found.pairs, found.runs, {**found.facts, **ignored, **_remember(question, path, key, found)}
    )


def _with_definition(question: Question, found: Found) -> Found:
    """What a measurement found, and what the change does to the definition of what was measured."""
    change = question.redefined
    if change is None or not change.phrases:
        return found
    from orchgate.speed import added, redefined

    budget = question.config.performance.budget_seconds
    costs: dict[str, str] = dict.fromkeys(change.added, added.NOT_MEASURED)
    if found.pairs:
        spent = found.facts.get("seconds")
        left = budget - spent if isinstance(spent, float) else 0.0
        costs = added.costs(
            question.repository,
            question.head,
            change,
            environ=unhooked(question.environ),
            prepare=question.config.performance.prepare,
            seconds=max(left, added.SHARE * budget),
        )
    said = (*found.said, *redefined.said(change, costs))
    return found._replace(said=said, facts={**found.facts, **redefined.facts(change, costs)})


def tree_of(repository: Repository, commit: str) -> str:
    """Hex id of a commit's tree. Raises GitError."""
    found = repository.blobs.resolve(commit + "^{tree}", 0)
    if found is None:
        raise GitError(f"the tree of {commit[:12]} is not here", repository.deepen)
    return found.oid


def _asked(question: Question) -> str:
    """Everything besides the two trees that decides what a measurement says. Pipelines are part of the trees."""
    return verdicts.digest([__version__, question.config.performance._replace(budget_seconds=0.0)])


def _machine() -> str:
    from orchgate.runs.machine import fingerprint

    return str(fingerprint()["fingerprint"])


def _remembered(known: Recorded, path: str, facts: Mapping[str, object]) -> Answer:
    again = f"rm {path} has it measured again"
    said = tuple(
        one._replace(
            message=f"{one.message} (from the record of {known.at})",
            # A note is no reason to measure again; older records may hold a hint to do so.
            hint="" if one.severity is Severity.NOTE else f"{one.hint}; {again}" if one.hint else again,
        )
        for one in known.said
    )
    return Answer(said, 0, 0, {"recorded at": known.at, "recorded pairs": known.pairs, **facts}, known.at)


def _remember(question: Question, path: str, key: Key, found: Found) -> dict[str, object]:
    """Records a judgement, and how long it took, for the next time. What cannot be written is said."""
    at = question.now.strftime("%Y-%m-%dT%H:%M:%SZ")
    try:
        verdicts.add(path, Recorded(key, at, found.conclusive, found.pairs, found.pair_seconds, found.said))
    except OrchgateError as error:
        return {"not recorded": error.message}
    return {}
