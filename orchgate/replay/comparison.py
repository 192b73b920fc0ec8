"""What a run and its replay say differently, and what that means. Pure: two runs in, a verdict out.

Contradicted is what cannot be explained by where it was replayed: a stage that succeeded and now runs and fails, tests
or counters that are not those recorded. What a stage could not even try (its program is not there, a variable is not
set, time ran out) leaves the run unrepeated, which is no pass either. So whatever explains a difference away may only
turn "contradicted" into "unrepeatable", never into "confirmed". Times are told, and decide nothing: caches are cold in
a work tree that was just made, and machines differ.
"""

from __future__ import annotations

import re

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, Enum, NamedTuple
from orchgate.model import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orchgate.runs.run import Machine, RecordedTree, Run, StageRun, TestCounts

    ChildPair = Callable[[str, str], tuple[Run, Run] | None]

GROSS = 10.0  # times as long as recorded, or as short
_LEAST_SECONDS = 1.0  # below it, times say nothing about each other
_NOT_STARTED = (126, 127)  # exit codes of shells
_REACHED = ("succeeded", "failed")
_COUNTS = ("passed", "failed", "skipped", "errors")
_NAMED = 3  # tests
_OTHERS_RAN = "another number of them ran"
_OF_TIME = lazy(
    r"s|secs?|seconds?|ms|millis|milliseconds|us|micros|microseconds|ns|nanos|nanoseconds|minutes|"
    r"time|runtime|walltime|duration|elapsed|latency",
    re.IGNORECASE,
)
_LAST_WORD = lazy(r"([A-Z]?[a-z]+|[A-Z]+)[^A-Za-z]*$")  # of snake_case and camelCase: `items` ends in no `ms`
# What libraries and programs say where there is no network: from the C library, curl, git and Node.
_OFFLINE = ("could not resolve host", "temporary failure in name resolution", "network is unreachable", "enotfound")
_MACHINE = ("cpu_model", "cores", "memory_class", "kernel", "python", "container")


class ReplayVerdict(Enum):
    CONFIRMED = "confirmed"
    UNREPEATABLE = "unrepeatable"
    CONTRADICTED = "contradicted"

    @property
    def verdict(self) -> Verdict:
        """The answer of a gate, and so the exit code."""
        match self:
            case ReplayVerdict.CONFIRMED:
                return Verdict.PASS
            case ReplayVerdict.UNREPEATABLE:
                return Verdict.BROKEN
            case ReplayVerdict.CONTRADICTED:
                return Verdict.FAIL


class Weight(Enum):
    NOTED = "noted"
    HINDERS = "hinders"
    CONTRADICTS = "contradicts"


class Difference(NamedTuple):
    """One thing that is not as recorded: `what` of a stage ("" for the run), both values as text, and why it counts."""

    stage: str
    what: str
    recorded: str
    now: str
    weight: Weight
    why: str = ""


def differences(old: Run, new: Run, children: ChildPair = lambda *_: None) -> list[Difference]:
    """What a run and one replay of it say differently. `children` finds the runs of a stage's sub-pipelines.

    Documents that nobody committed as they were then may be why a stage fails, but not why it counts other tests.
    """
    found = list(_differences(old, new, children, "", new.replays.lacking if new.replays else {}))
    if not _other_documents(old.git, new.git):
        return found
    why = "documents as they were then are not here"
    return [
        one._replace(weight=Weight.HINDERS, why=why)
        if (one.what, one.weight) == ("status", Weight.CONTRADICTS)
        else one
        for one in found
    ]


def _other_documents(old: RecordedTree | None, new: RecordedTree | None) -> bool:
    """Whether what lay beside the commit was not laid out as it was, which only documents may be."""
    if old is None or new is None:
        return False
    return (old.changed or {}, old.untracked or {}) != (new.changed or {}, new.untracked or {})


def _differences(
    old: Run, new: Run, children: ChildPair, prefix: str, lacking: Mapping[str, str]
) -> Iterator[Difference]:
    there = {stage.id: stage for stage in new.stages}
    known = {stage.id for stage in old.stages}
    found: list[Difference] = []
    for stage in old.stages:
        name = prefix + stage.id
        other = there.get(stage.id)
        if other is None:
            found.append(
                Difference(name, "stage", stage.status, "none", Weight.CONTRADICTS, "no stage of its pipeline")
            )
            continue
        pair = children(stage.sub_run_id, other.sub_run_id) if stage.sub_run_id and other.sub_run_id else None
        inner = list(_differences(*pair, children, f"{name}/", lacking)) if pair else []
        found += inner
        if pair is None and stage.sub_run_id and other.sub_run_id:
            why = "not compared: the record of one of these runs is not here"
            found.append(Difference(name, "its stages", stage.sub_run_id, other.sub_run_id, Weight.NOTED, why))
        if not any(one.what in ("status", "stage") for one in inner):  # or what differs is told by its own stages
            found += _of_stage(name, stage, other, lacking.get(name, ""))
    found += [
        Difference(prefix + stage.id, "stage", "none", stage.status, Weight.CONTRADICTS, "left out of the record")
        for stage in new.stages
        if stage.id not in known
    ]
    if old.status != new.status and not any(one.what in ("status", "stage") for one in found):
        found.append(Difference(prefix.rstrip("/"), "status", old.status, new.status, *_of_run(new)))
    yield from found


def _of_run(new: Run) -> tuple[Weight, str]:
    if new.status == "cancelled":
        return Weight.HINDERS, f"ended by {new.status_detail or 'a signal'}"
    return Weight.CONTRADICTS, ""


def _of_stage(name: str, old: StageRun, new: StageRun, lacking: str) -> Iterator[Difference]:
    if old.status != new.status:
        weight, why = _status_weight(new, lacking)
        yield Difference(name, "status", old.status, _ended(new), weight, why)
        if weight is Weight.HINDERS:
            return
    elif new.status == "failed" and old.exit_code != new.exit_code:
        why = _hindrance(new, lacking)
        yield Difference(name, "exit code", _code(old), _code(new), Weight.HINDERS if why else Weight.NOTED, why)
        if why:
            return
    if new.status in _REACHED and old.status in _REACHED:
        yield from _of_tests(name, old.tests, new.tests, _failed_anew(old, new))
        yield from _of_metrics(name, old.metrics, new.metrics)
    if new.flaky and not old.flaky:
        yield Difference(
            name, "attempts", "one", f"{len(new.attempts)}", Weight.NOTED, "it passed when it was replayed"
        )


def _status_weight(new: StageRun, lacking: str) -> tuple[Weight, str]:
    if new.status not in _REACHED:
        return Weight.HINDERS, new.status_detail or "it was not reached"
    why = _hindrance(new, lacking) if new.status == "failed" else ""
    return (Weight.HINDERS, why) if why else (Weight.CONTRADICTS, new.summary or "" if new.status == "failed" else "")


def _ended(stage: StageRun) -> str:
    return (
        f"{stage.status} ({stage.status_detail})" if stage.status == "failed" and stage.status_detail else stage.status
    )


def _code(stage: StageRun) -> str:
    return "none" if stage.exit_code is None else str(stage.exit_code)


def _hindrance(stage: StageRun, lacking: str) -> str:
    """Why a failed stage says nothing about what was recorded; "" where it does."""
    last = stage.attempts[-1] if stage.attempts else None
    said = (stage.summary or "").lower()
    if stage.exit_code in _NOT_STARTED:
        return "its program is not found here"
    if last is not None and last.timed_out:
        return "it took longer here than its limit"
    if last is not None and last.signal == "SIGKILL":
        return "it was killed, perhaps for its memory"
    if last is not None and last.exit_code is None and not last.signal and not stage.sub_run_id:
        return "its program cannot be started here"
    if lacking:
        return f"it names {lacking}, not set here" if lacking.startswith("$") else f"{lacking} is not here"
    return "it found no network" if any(words in said for words in _OFFLINE) else ""


def _failed_anew(old: StageRun, new: StageRun) -> str:
    """The first tests by name that failed here and not there; "" where no name is known."""
    names = [name for name in new.failed_tests if name not in old.failed_tests]
    more = f" and {len(names) - _NAMED} more" if names[_NAMED:] else ""
    return f"failed here: {', '.join(names[:_NAMED])}{more}" if names else ""


def _of_tests(name: str, old: TestCounts | None, new: TestCounts | None, failed: str) -> Iterator[Difference]:
    """Tests that were moved between passed and skipped were not contradicted, but fewer passed."""
    if old is None:
        if new is not None:
            weight = Weight.HINDERS if new.failed + new.errors else Weight.NOTED
            yield Difference(name, "tests", "none", counts(new), weight, "left out of the record")
        return
    if new is None:
        yield Difference(name, "tests", counts(old), "none", Weight.CONTRADICTS, "it reported no tests")
        return
    before, after = ([getattr(one, key) for key in _COUNTS] for one in (old, new))
    if before == after:
        if failed:
            yield Difference(name, "failed tests", counts(old), counts(new), Weight.NOTED, failed)
        return
    as_bad = (old.failed, old.errors) == (new.failed, new.errors)
    skipped_only = sum(before) == sum(after) and as_bad
    weight = Weight.CONTRADICTS
    if skipped_only:
        weight = Weight.HINDERS if new.passed < old.passed else Weight.NOTED
    why = "they were skipped here" if weight is Weight.HINDERS else (_OTHERS_RAN if as_bad else failed)
    yield Difference(name, "tests", counts(old), counts(new), weight, why)


def counts(tests: TestCounts) -> str:
    """`5 passed, 1 failed`."""
    named = ((getattr(tests, key), key) for key in _COUNTS)
    return ", ".join(f"{count} {key}" for count, key in named if count) or "no tests"


def _of_metrics(name: str, old: Mapping[str, float], new: Mapping[str, float]) -> Iterator[Difference]:
    """What a program reports of itself is compared exactly; what is a time by its name is told."""
    for key, value in sorted(old.items()):
        now = new.get(key)
        if now is None:
            yield Difference(name, key, f"{value:g}", "none", Weight.CONTRADICTS, "it was not reported")
        elif now != value:
            timed = is_time(key)
            weight = Weight.NOTED if timed else Weight.CONTRADICTS
            yield Difference(name, key, f"{value:.15g}", f"{now:.15g}", weight, "a time" if timed else "")


def is_time(name: str) -> bool:
    """Whether a number is a time, or a rate, by its name: it is another one every time."""
    found = _LAST_WORD.search(name)
    return found is not None and _OF_TIME.fullmatch(found[1]) is not None


def combined(every: Sequence[Sequence[Difference]], same_place: bool, *, same_tools: bool = True) -> list[Difference]:
    """The differences of several replays as one: what only some of them show contradicts nothing.

    A counter that differs between them varies, and is told as a time is. On another machine, or with other tools, it
    may be another one; and with other tools other tests may be there.
    """
    by_key: dict[tuple[str, str], list[Difference]] = {}
    for one in (one for found in every for one in found):
        by_key.setdefault((one.stage, one.what), []).append(one)
    return [_combined(found, len(every), same_place, same_tools) for found in by_key.values()]


def _combined(found: Sequence[Difference], times: int, same_place: bool, same_tools: bool) -> Difference:
    heaviest = max(found, key=lambda one: _ORDER[one.weight])
    if heaviest.weight is not Weight.CONTRADICTS:
        return heaviest
    if heaviest.what not in _EXACT:
        return _of_counter(heaviest, found, times, same_place)
    contradicting = sum(one.weight is Weight.CONTRADICTS for one in found)
    if contradicting < times:
        hindered = next((one.why for one in found if one.weight is Weight.HINDERS), "it is flaky")
        why = f"in {contradicting} of {times} replays only: {hindered}"
        return heaviest._replace(weight=Weight.HINDERS, why=why)
    if not same_tools and all(one.why == _OTHERS_RAN for one in found):
        return heaviest._replace(weight=Weight.HINDERS, why=f"{_OTHERS_RAN}, with other tools")
    return heaviest


def _of_counter(heaviest: Difference, found: Sequence[Difference], times: int, same_place: bool) -> Difference:
    """A number that a program reports of itself: `heaviest` of what was found of it."""
    values = list(dict.fromkeys(one.now for one in found))
    if len(values) > 1 or len(found) < times:
        far = len(found) == times and _is_far(heaviest.recorded, values)
        why = "it varies, and is never near that" if far else "it varies"
        return heaviest._replace(now=" to ".join(values), weight=Weight.HINDERS if far else Weight.NOTED, why=why)
    if times == 1:
        return heaviest._replace(weight=Weight.HINDERS, why="one replay does not tell whether it varies")
    if not same_place:
        return heaviest._replace(weight=Weight.HINDERS, why="the machine or its tools are other ones")
    return heaviest


def _is_far(recorded: str, values: Iterable[str]) -> bool:
    """Whether what varies is out of all proportion to what was recorded, every time."""
    try:
        before, after = abs(float(recorded)), [abs(float(value)) for value in values]
    except ValueError:
        return True  # not reported at all
    return min(after) > GROSS * before or before > GROSS * max(after)


_ORDER = {weight: rank for rank, weight in enumerate(Weight)}
_EXACT = frozenset({"status", "stage", "tests"})


def verdict(found: Iterable[Difference]) -> ReplayVerdict:
    """What all differences together say."""
    weights = {one.weight for one in found}
    if Weight.CONTRADICTS in weights:
        return ReplayVerdict.CONTRADICTED
    return ReplayVerdict.UNREPEATABLE if Weight.HINDERS in weights else ReplayVerdict.CONFIRMED


def machine_differences(old: Machine | None, new: Machine | None) -> list[str]:
    """What is another than when the run was recorded: `python 3.12 -> 3.13`. Nothing where it is not known."""
    if old is None or new is None:
        return []
    pairs = ((name, getattr(old, name), getattr(new, name)) for name in _MACHINE)
    return [f"{name} {before} -> {after}" for name, before, after in pairs if before != after]


def gross(recorded: float | None, times: Sequence[float]) -> str:
    """How many times as long or as short the replays took, where that is out of all proportion; "" elsewhere."""
    if recorded is None or not times or max(recorded, *times) < _LEAST_SECONDS:
        return ""
    low, high = max(min(times), 1e-3), max(times)
    if low > GROSS * recorded:
        return f"took {low / max(recorded, 1e-3):.0f} times as long as recorded"
    return f"was recorded with {recorded / high:.0f} times what it takes" if recorded > GROSS * high else ""
