"""The stored baseline: what a pipeline cost on a class of machines, who accepted that, and why.

`.orchgate/baseline.json` is one flat JSON object, sorted, one fact a line, each line complete in itself. Two branches
that record for different machines therefore only add lines, which git can unite whatever stands around them.
"""

from __future__ import annotations

import errno
import os
from typing import Any

from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.verdict import baseline_facts as facts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

PATH = ".orchgate/baseline.json"
VERSION = 1
MAX_BYTES = 8 * 1024 * 1024
KEPT = 5  # superseded records of one pipeline on one class of machines; older ones are in git's history only
MAX_DAYS = 90
MOST_PROBLEMS = 20
_DAY = 86400.0
_MARKER = lazy(rb"^(?:<{7}|\|{7}|={7}|>{7})(?: .*)?\r?$", 8)  # 8 is re.MULTILINE, spelt without importing re
_HINT = "fix the line, or restore the file as it is committed"
_TWICE_HINT = "two branches recorded it: keep the lines of one of them"


class BaselineError(Unreadable):
    """A baseline that cannot be used; the message begins with the dotted path of what is wrong with it."""


class BaselineRecord(NamedTuple):
    """The accepted samples of one pipeline on one class of machines.

    `samples` holds, by the names in `measures`, one number for each run: seconds, bytes, counts, fractions.
    `fingerprint` is the class of machines and `machine` its readable facts. `commit` and `tree` are None outside of a
    repository; `dirty` says that the tree held changes that were not in the commit. `recorded_at` is UTC.
    `lower_bounds` says of which metrics the samples are at least what they say, and why. `tools` are those that the
    runs started, by name, in the words of `tools.stored`.
    """

    pipeline: str
    fingerprint: str
    pipeline_hash: str
    commit: str | None
    tree: str | None
    dirty: bool
    recorded_at: str
    recorded_by: str
    reason: str
    machine: Mapping[str, str | float]
    samples: Mapping[str, tuple[float, ...]]
    run_ids: tuple[str, ...] = ()
    lower_bounds: Mapping[str, str] = {}
    tools: Mapping[str, str] = {}

    @property
    def runs(self) -> int:
        return len(next(iter(self.samples.values()), ()))

    @property
    def place(self) -> tuple[str, str]:
        return self.pipeline, self.fingerprint


Place = tuple[str, str]  # pipeline, fingerprint


class Baseline(NamedTuple):
    """All records, and those they superseded, newest first."""

    records: Mapping[Place, BaselineRecord] = {}
    history: Mapping[Place, tuple[BaselineRecord, ...]] = {}

    def of(self, pipeline: str, fingerprint: str) -> BaselineRecord | None:
        """The record that counts for a pipeline on a class of machines."""
        return self.records.get((pipeline, fingerprint))

    def put(self, record: BaselineRecord) -> Baseline:
        """With a record; the one it supersedes goes to the history."""
        rest = self.drop(*record.place)
        return rest._replace(records={**rest.records, record.place: record})

    def drop(self, pipeline: str, fingerprint: str, *, purge: bool = False) -> Baseline:
        """Without a record, which goes to the history; `purge` forgets that history too."""
        place = (pipeline, fingerprint)
        records = {at: record for at, record in self.records.items() if at != place}
        history = {at: old for at, old in self.history.items() if at != place}
        old = self.history.get(place, ())
        if place in self.records:
            current = self.records[place]
            others = [one for one in old if one.recorded_at != current.recorded_at]
            old = _newest_first((current, *others[: KEPT - 1]))
        return Baseline(records, history | ({place: old} if old and not purge else {}))


def _newest_first(records: Iterable[BaselineRecord]) -> tuple[BaselineRecord, ...]:
    return tuple(sorted(records, key=lambda record: record.recorded_at, reverse=True))


# Reading


def parse(data: bytes, where: str = PATH) -> Baseline:
    """The baseline that a file's bytes hold. Raises BaselineError for everything that is wrong with it."""
    if len(data) > MAX_BYTES:
        raise BaselineError(where, f"is {len(data)} bytes long, limit {MAX_BYTES}", "orchgate baseline drop")
    _refuse_conflict(data, where)
    found, problems, twice = _facts(_pairs(data, where))
    baseline = _assembled(found, problems)
    if problems:
        others = len(problems) - 1
        more = f" (and {counted(others, 'more fault')})" if others else ""
        raise BaselineError(where, problems[0] + more, _TWICE_HINT if twice else _HINT)
    return baseline


def _refuse_conflict(data: bytes, where: str) -> None:
    if marker := _MARKER.search(data):
        line = data.count(b"\n", 0, marker.start()) + 1
        raise BaselineError(
            where,
            f"line {line}: an unresolved merge conflict",
            "keep the lines of both sides where they are of different machines or pipelines, and of one side where "
            "they are of the same",
        )


def _pairs(data: bytes, where: str) -> list[tuple[str, Any]]:
    """The keys and values of the one object, repeated ones too; `version` is checked and left out."""
    import json

    try:
        value = json.loads(data.decode("utf-8"), object_pairs_hook=tuple)
    except json.JSONDecodeError as error:
        raise BaselineError(where, f"line {error.lineno}: is not JSON: {error.msg}", _HINT) from error
    except (ValueError, RecursionError) as error:  # not UTF-8, a number of thousands of digits, nested too deeply
        raise BaselineError(where, f"is not JSON: {str(error)[:100]}", _HINT) from error
    if not isinstance(value, tuple):
        raise BaselineError(where, f"expected one object of facts, got {facts.shown(value)}", _HINT)
    versions = [fact for name, fact in value if name == "version"]
    if not versions:
        raise BaselineError(where, "version: is missing", f'add "version": {VERSION}')
    for version in versions:
        if type(version) is not int or version != VERSION:
            message = f"version: expected {VERSION}, got {facts.shown(version)}; a newer orchgate wrote it"
            raise BaselineError(where, message, "pip install --upgrade orchgate")
    return [(name, fact) for name, fact in value if name != "version"]


Found = dict[tuple[str, str, str], dict[str, object]]


def _facts(pairs: Iterable[tuple[str, Any]]) -> tuple[Found, list[str], bool]:
    """Facts by record and name, what is wrong with them, and whether the first problem is a fact with two values."""
    found: Found = {}
    problems: list[str] = []
    twice = False
    for text, value in pairs:
        key = facts.key(text)
        if key is None or not facts.is_pipeline(key.pipeline):
            problems.append(f"{text[:200]}: is unknown; a key is PIPELINE.MACHINE-CLASS.NAME")
        elif reason := facts.wrong_name(key.name) or facts.wrong_value(key.name, value):
            problems.append(f"{text[:200]}: {reason}")
        else:
            record = found.setdefault(key[:3], {})
            # A merge that unites both sides may say the same twice, which harms nobody.
            if record.setdefault(key.name, value) != value:
                twice = twice or not problems
                problems.append(f"{text[:200]}: occurs twice with different values")
        if len(problems) >= MOST_PROBLEMS:
            break
    return found, problems, twice


def _assembled(found: Found, problems: list[str]) -> Baseline:
    """The records that facts add up to; what is missing from them is added to the problems, unless there are others."""
    records: dict[Place, BaselineRecord] = {}
    history: dict[Place, list[BaselineRecord]] = {}
    for (pipeline, machine, superseded), known in found.items():
        if superseded:
            known.setdefault("recorded_at", superseded)
        if problems or (gaps := list(_gaps(facts.place(pipeline, machine, superseded), known, superseded))):
            problems += [] if problems else gaps
            continue
        record = _record(pipeline, machine, known)
        if superseded:
            history.setdefault(record.place, []).append(record)
        else:
            records[record.place] = record
    return Baseline(records, {place: _newest_first(old) for place, old in history.items()})


def _gaps(place: str, known: Mapping[str, Any], superseded: str) -> Iterator[str]:
    for name in facts.REQUIRED:
        if name not in known:
            yield f"{place}.{name}: is missing"
    if superseded and (known["recorded_at"] != superseded or not facts.is_moment(superseded)):
        yield f"{place}: is not the record's recorded_at"
    lengths = {name: len(value) for name, value in known.items() if name.startswith("samples.")}
    if not lengths:
        yield f"{place}.samples: is missing"
    usual = sorted(lengths.values())[len(lengths) // 2] if lengths else 0
    for name, length in lengths.items():
        if length != usual:
            yield f"{place}.{name}: holds {length} samples, the other metrics of these runs {usual}"


def _record(pipeline: str, fingerprint: str, known: Mapping[str, Any]) -> BaselineRecord:
    machine: dict[str, str | float] = {}
    samples: dict[str, tuple[float, ...]] = {}
    bounds: dict[str, str] = {}
    tools: dict[str, str] = {}
    for name, value in sorted(known.items()):
        group, _, rest = name.partition(".")
        if group == "machine":
            machine[rest] = value
        elif group == "samples":
            samples[rest] = tuple(value)
        elif group == "lower_bounds":
            bounds[rest] = value
        elif group == "tools":
            tools[rest] = value
    plain = {name: known[name] for name in facts.REQUIRED}
    run_ids = tuple(known.get("run_ids", ()))
    record = BaselineRecord(pipeline, fingerprint, **plain, machine=machine, samples=samples, run_ids=run_ids)
    return record._replace(lower_bounds=bounds, tools=tools)


# Writing


def render(baseline: Baseline) -> bytes:
    """The text of a baseline: the same for the same facts, whoever writes it and when."""
    import json

    lines = [line for record in baseline.records.values() for line in _lines(record, "")]
    for old in baseline.history.values():
        lines += [line for record in old for line in _lines(record, record.recorded_at)]
    entries = [
        f"  {json.dumps(key, ensure_ascii=False)}: {json.dumps(value, ensure_ascii=False)}," for key, value in lines
    ]
    # The last line never changes: a comma added to a neighbour would be a conflict.
    return "\n".join(["{", *sorted(entries), f'  "version": {VERSION}', "}", ""]).encode()


def _lines(record: BaselineRecord, superseded: str) -> Iterator[tuple[str, Any]]:
    place = facts.place(*record.place, superseded)
    for name in facts.REQUIRED:
        if not (superseded and name == "recorded_at"):
            yield f"{place}.{name}", getattr(record, name)
    if record.run_ids:
        yield f"{place}.run_ids", list(record.run_ids)
    for name, fact in record.machine.items():
        yield f"{place}.machine.{name}", fact if isinstance(fact, str) else _plain(fact)
    for name, why in record.lower_bounds.items():
        yield f"{place}.lower_bounds.{name}", why
    for name, known in record.tools.items():
        yield f"{place}.tools.{name}", known
    for name, samples in record.samples.items():
        yield f"{place}.samples.{name}", [_plain(sample) for sample in samples]


def _plain(number: float) -> float:
    """A whole number without the `.0` that only some writers add."""
    return int(number) if number == int(number) and abs(number) < 2**53 else number


# Age


def stale(
    record: BaselineRecord,
    now: float,
    *,
    pipeline_hash: str = "",
    machine: str = "",
    commits_behind: int | None = None,
    max_days: float = MAX_DAYS,
) -> str:
    """Why a record should be taken anew, in words that follow "the baseline …"; "" while it is good.

    `now` is in seconds since the epoch; `pipeline_hash` and `machine` are those of today, "" where they are not asked.
    """
    if machine and machine != record.fingerprint:
        return f"is of another machine type: {record.fingerprint}, this one is {machine}"
    if pipeline_hash and pipeline_hash != record.pipeline_hash:
        return "is of a pipeline whose definition has changed since"
    days = (now - seconds(record.recorded_at)) / _DAY
    if days < -1:
        return f"was recorded in the future, {record.recorded_at}: one of the clocks is wrong"
    if days > max_days:
        behind = f" and {commits_behind} commits" if commits_behind else ""
        return f"is {days:.0f} days{behind} old, more than {max_days:g} days"
    return ""


def seconds(moment: str) -> float:
    """A record's time in seconds since the epoch."""
    import datetime

    return datetime.datetime.fromisoformat(moment).timestamp()


# On disk: read with care, changed by one process at a time, replaced as a whole


# Each line of the file is complete in itself, so both sides' lines may stand together in any order.
UNITED = f"{os.path.basename(PATH)} merge=union"
_LINK = "is a symbolic link: whoever changes its target would change the baseline unseen"


def load(root: str) -> Baseline:
    """The baseline of a work tree, empty when there is none. Raises BaselineError."""
    path = os.path.join(root, PATH)
    if os.path.islink(os.path.dirname(path)):
        raise BaselineError(os.path.dirname(PATH), _LINK, "replace the link with the folder itself")
    data = read(path, PATH)
    return Baseline() if data is None else parse(data, PATH)


def read(path: str, where: str) -> bytes | None:
    """The bytes of a baseline file, never waiting for a writer; None when there is none. Raises BaselineError."""
    from orchgate.lib import files

    try:
        descriptor = files.open_regular(path, follow=False)
    except FileNotFoundError:
        return None
    except files.NotRegularFileError as error:
        message = f"is {error.kind}, not a regular file"
        raise BaselineError(where, message, f"ls -ld {where}") from error
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BaselineError(where, _LINK, "replace the link with the file itself") from error
        raise BaselineError(where, f"cannot be read: {error.strerror}", f"ls -l {where}") from error
    with open(descriptor, "rb") as file:
        return file.read(MAX_BYTES + 1)  # what is longer is refused by `parse`


def update(root: str, change: Callable[[Baseline], Baseline]) -> Baseline:
    """Changes the baseline of a work tree, one process after the other, and returns what it then holds.

    `change` sees what is there by now. Raises BaselineError, WriteError, Busy, NoLocks and what `change` raises; then
    nothing changed.
    """
    folder = os.path.join(root, os.path.dirname(PATH))
    if os.path.islink(folder):
        raise BaselineError(os.path.dirname(PATH), _LINK, "replace the link with the folder itself")
    from orchgate.git import worktree
    from orchgate.lib import files, locks

    with locks.held(root, locks.RECORDS, "orchgate baseline"):
        before = load(root)
        after = change(before)
        if after != before:
            files.make_folders(folder)
            worktree.add_attribute(folder, UNITED)
            files.replace(os.path.join(root, PATH), render(after))
        return after
