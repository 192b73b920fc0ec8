"""The files of one run: its folder, journal, manifest and metrics entry, and how much was written to them.

The entry is one line of `.runs/<task>/metrics.json` for each finished run: what it cost, small enough to be read by the
million. Lines are appended by many processes at once. Each is one write under a lock on the file itself, which the
system lets go of when its holder dies. A run that is resumed and ends a second time leaves a second line with the same
`run_id` and a higher `resumes`: the last one counts.
"""

from __future__ import annotations

import contextlib
import os
from itertools import islice

from orchgate.errors import OrchgateError
from orchgate.lib import files, locks
from orchgate.lib.paths import require_real
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs import ids, journal, state, usage
from orchgate.runs.run import from_manifest, stage_of, timestamp

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.runs.ids import Clock
    from orchgate.runs.run import Run, StageRun, TestCounts, Usage

    Event = Mapping[str, Any]

FOLDERS = ("stages", "artifacts")
MOST_BENCHMARKS = 500  # of one entry


class Recorder:
    """Writes a run down as it happens: two manifests, one synced line per settled stage, one metrics entry."""

    def __init__(self, folder: str, clock: Clock, seen: Callable[[Recorder, Event], None], begun_in: str = "") -> None:
        """Opens the run in `folder`, which must be there, or will be once the run has begun in a folder aside.

        Raises WriteError, and OrchgateError for a link in it.
        """
        self._aside = begun_in
        for name in FOLDERS:
            require_real(begun_in or folder, name)
        self.folder = folder
        self.run_id = os.path.basename(folder)
        self.clock = clock
        self.events: list[state.Event] = []
        self.fold = state.Fold()  # of these events
        self.journal = journal.Journal(os.path.join(begun_in or folder, ids.JOURNAL))
        self._seen = seen
        self._before: Mapping[str, int] = {}  # what an earlier process wrote for this run
        self._held: list[Event] | None = None  # recorded, and not told of yet
        self._unsynced = False
        self._manifests = 0
        self._manifest_bytes = 0
        self._logs: set[str] = set()
        self.other_files = 0  # written beside these: for the cache, for an agent
        self.counts = True  # in the metrics of its task, where a run that replays another one would count twice

    def begin(self, event: Event) -> None:
        """Records the first event of this process, and the first manifest. Raises WriteError."""
        stamped = self._add(event, sync=True)
        if self._aside:
            journal.move_into_place(self._aside, self.folder)
            self.journal.path, self._aside = os.path.join(self.folder, ids.JOURNAL), ""
        self._write_manifest(state.render(self.fold.manifest()))
        self._seen(self, stamped)

    def carry_on(self, events: Iterable[state.Event]) -> None:
        """What the journal held when this process took over."""
        for event in events:
            self._keep(event)
        written = (event["writes"] for event in reversed(self.events) if event["event"] == "finish")
        self._before = next(filter(None, written), {})

    def record(self, event: Event, *, sync: bool = False) -> None:
        """Adds an event, stamped with the time. Raises WriteError: then it never happened."""
        if self._held is None:
            self._seen(self, self._add(event, sync=sync))
            return
        self._held.append(self._add(event, sync=False))
        self._unsynced = self._unsynced or sync

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is recorded in here is on disk at its end, or with `flush`, and nobody is told of it before.

        A program that is started meanwhile need not wait for the disk. One that ends meanwhile is noticed later.
        """
        if self._held is not None:
            yield
            return
        self._held = []
        try:
            yield
        finally:
            try:
                self.flush()
            finally:
                self._held = None

    def flush(self) -> None:
        """What was recorded is on disk, and told of, from here on. Raises WriteError: then it never happened."""
        if not self._held:
            return
        held, self._held = self._held, []
        if self._unsynced:
            self.journal.sync()
            self._unsynced = False
        for event in held:
            self._seen(self, event)

    def _add(self, event: Event, *, sync: bool) -> Event:
        stamped = self._stamped(event)
        self.journal.append(stamped, sync=sync)
        self._keep(stamped)
        if "log_path" in event:
            self._logs.add(event["log_path"])
        return stamped

    def _keep(self, event: state.Event) -> None:
        self.events.append(event)
        self.fold.add(event)

    def run(self) -> Run:
        """What has been recorded so far."""
        return from_manifest(self.fold.manifest(), os.path.join(self.folder, ids.MANIFEST))

    @property
    def stages(self) -> tuple[StageRun, ...]:
        """The run's stages as they stand."""
        return self.run().stages

    def stage(self, number: int) -> StageRun:
        """One of them, numbered from 1: what the others cost to read grows with the run."""
        return stage_of(self.fold.stage(number))

    def _stamped(self, event: Event) -> state.Event:
        """An event with its time, and how long this process was away so far; the first event always has that."""
        away = self.clock.away()
        counted = {usage.AWAY: away} if away or event["event"] in ("run", "resume") else {}
        return {"event": event["event"], "at": ids.moment(self.clock.now()), **event, **counted}

    def finish(self, status: str, detail: str | None, stages: Sequence[StageRun] = ()) -> state.Document:
        """Ends the run: journal, metrics, manifest, in this order. `stages` are its own, where the caller has them.

        Raises WriteError.
        """
        self.flush()
        event = self._stamped({"event": "finish", "status": status, "detail": detail})
        event |= {"summary": summary(stages or self.stages), "writes": self._writes()}
        self.fold.add(event)
        document = self.fold.manifest()
        entry, rendered = entry_of(from_manifest(document)), state.rendered_stages(document)
        self._count_the_rest(event, document, entry, rendered)
        self.journal.append(event, sync=True)
        self.events.append(event)
        if self.counts:
            append_entry(self._entries, encode_entry(entry))
        self._write_manifest(state.render(document, rendered))
        self._seen(self, event)
        return document

    def settle(self) -> state.Document:
        """Metrics entry and manifest of a run that ended before, where its process did not come to write them."""
        document = self.fold.manifest()
        if not has_entry(self._entries, self.run_id, len(document["resume_events"])):
            append_entry(self._entries, encode_entry(entry_of(from_manifest(document))))
        self._write_manifest(state.render(document))
        return document

    @property
    def _entries(self) -> str:
        return os.path.join(os.path.dirname(os.path.dirname(self.folder)), ids.METRICS)

    @property
    def is_lost(self) -> bool:
        """Whether the run's folder, or its journal, is not where it was: it was removed or replaced."""
        return not self.journal.is_at(os.path.join(self.folder, ids.JOURNAL))

    def restore(self) -> None:
        """Puts a folder that was removed back, with the journal as it was. The logs are lost.

        Raises OrchgateError when something else is in the journal's place, and WriteError.
        """
        path = os.path.join(self.folder, ids.JOURNAL)
        if os.path.lexists(path) or os.path.islink(self.folder):
            raise OrchgateError(f"{path} was replaced during the run", "its record is incomplete: start the run again")
        for name in FOLDERS:
            files.make_folders(os.path.join(self.folder, name))
        restored = journal.Journal(path)
        restored.own()
        for event in self.events:
            restored.append(event, sync=event is self.events[-1])
        self.journal.close()
        self.journal = restored

    def close(self) -> None:
        self.journal.close()
        if self._aside:  # it never began
            journal.discard(self._aside)

    def _write_manifest(self, data: bytes) -> None:
        files.replace(os.path.join(self.folder, ids.MANIFEST), data)
        self._manifests += 1
        self._manifest_bytes += len(data)

    def _writes(self) -> dict[str, int]:
        """Everything written so far, with the journal line and the manifest that are to come."""
        known = {
            "manifest_writes": self._manifests + 1,
            "journal_writes": self.journal.writes + 1,
            "files": len(self._logs) + self.other_files + len((ids.JOURNAL, ids.MANIFEST, ids.METRICS)),
            "bytes": self.journal.bytes + self._manifest_bytes,
        }
        shared = "files"  # an earlier process wrote the same ones
        return {key: value + (0 if key == shared else self._before.get(key, 0)) for key, value in known.items()}

    @staticmethod
    def _count_the_rest(event: Event, document: state.Document, entry: state.Document, stages: str) -> None:
        """Adds the bytes of the last line, the entry and the last manifest, each of which holds the sum itself."""
        writes = event["writes"]  # the manifest's as well
        written, digits = writes["bytes"], len(str(writes["bytes"]))
        rest = len(journal.encode(event)) + len(encode_entry(entry)) + len(b"\n\n")
        rest += len(state.render(document, stages)) - 3 * digits
        for _ in range(3):
            writes["bytes"] = written + rest + 3 * len(str(writes["bytes"]))
        entry["bytes"] = writes["bytes"]


def create(root: str, task: str, clock: Clock, seen: Callable[[Recorder, Event], None], run_id: str = "") -> Recorder:
    """A new run of a task, whose folder appears with its first event. Raises WriteError, UsageError."""
    run_id = run_id or ids.new_run_id(clock.now())
    folder = ids.run_folder(root, task, run_id)
    with journal.starting_folder(ids.task_folder(root, task), run_id) as begun_in:
        try:
            for name in FOLDERS:
                os.mkdir(os.path.join(begun_in, name))
        except OSError as error:
            raise files.failure(begun_in, error) from error
        recorder = Recorder(folder, clock, seen, begun_in)
        recorder.journal.own()
    return recorder


def summary(stages: Iterable[StageRun]) -> str:
    """One line about all stages, for people."""
    counts: dict[str, int] = {}
    flaky = []
    failed = 0  # tests of stages that ended well all the same
    for stage in stages:
        counts[stage.status] = counts.get(stage.status, 0) + 1
        if stage.tests and stage.status == "succeeded":
            failed += stage.tests.failed + stage.tests.errors
        if stage.cached:
            counts["cached"] = counts.get("cached", 0) + 1
        if stage.flaky:
            flaky.append(stage.id)
    text = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no stages"
    text += f"; {failed} test{'s'[: failed != 1]} failed in stages that succeeded" if failed else ""
    return text + (f"; flaky: {', '.join(flaky)[:200]}" if flaky else "")


def entry_of(run: Run) -> state.Document:
    """The entry of a finished run. What is null, zero or false by default is left out."""
    git, usage = run.git, run.usage
    line: state.Document = {
        "entry": 1,
        "run_id": run.run_id,
        "task_id": run.task_id,
        "parent_run_id": run.parent_run_id,
        "pipeline_id": run.pipeline_id,
        "status": run.status,
        "started_at": timestamp(run.started_at),
        "completed_at": run.completed_at and timestamp(run.completed_at),
        "resumes": len(run.resumptions),
    }
    line |= {"commit": git.commit, "tree": git.tree, "dirty": git.dirty} if git else {}
    line |= {"machine": run.machine.fingerprint if run.machine else None, **_usage_fields(usage)}
    line |= run.writes.asdict() if run.writes else {}
    line |= {
        "away_seconds": run.away_seconds,
        "tests": _test_counts(run.tests),
        "metrics": run.metrics,
        "benchmarks": list(islice(_benchmarks(run), MOST_BENCHMARKS)),
        "flaky": run.flaky,
    }
    line["inside"] = sorted({inner.pipeline_id for inner in run.inner_runs if inner.task_id == run.task_id})
    return _without_default_costs(line, usage) | {"stages": [_stage_entry(stage) for stage in run.stages]}


def _test_counts(tests: TestCounts | None) -> state.Document | None:
    """What an entry holds of tests: the flaky ones and the names of those that failed are in the manifest alone."""
    return {name: count for name, count in tests.counts().items() if name != "flaky"} if tests else None


def _benchmarks(run: Run) -> Iterator[state.Document]:
    of_stages = {name for stage in run.stages for name in stage.benchmarks}
    for name, seconds in run.benchmarks.items():
        if name not in of_stages:
            yield {"name": name, "value": seconds}
    for stage in run.stages:
        for name, seconds in stage.benchmarks.items():
            yield {"name": name, "value": seconds, "stage": stage.id}


def _stage_entry(stage: StageRun) -> state.Document:
    tries = len(stage.attempts)
    line = {
        "id": stage.id,
        "status": stage.status,
        **_usage_fields(stage.usage),
        "flaky": stage.flaky,
        "cached": stage.cached,
    }
    line |= {
        "tests": _test_counts(stage.tests),
        "metrics": stage.metrics,
        "attempts": tries if tries > 1 else None,
    }
    return _without_default_costs(line, stage.usage)


def _usage_fields(usage: Usage | None) -> state.Document:
    return usage.asdict() if usage else {}


def _without_default_costs(line: Mapping[str, Any], usage: Usage | None) -> state.Document:
    """The line without what is null, zero or false by default; that a cost is complete is a default as well."""
    rest = {key: value for key, value in line.items() if key != "complete"}
    incomplete = usage is not None and usage.complete is False
    return _without_defaults(rest) | ({"complete": False} if incomplete else {})


def _without_defaults(line: Mapping[str, Any]) -> state.Document:
    return {
        key: value for key, value in line.items() if value is not None and value is not False and value not in ([], {})
    }


def encode_entry(entry_: Mapping[str, Any]) -> bytes:
    import json

    return json.dumps(entry_, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def append_entry(path: str, line: bytes) -> int:
    """Appends one encoded entry, synced, and returns the bytes written. Raises WriteError, Busy, NoLocks."""
    descriptor = files.open_appending(path)
    try:
        # Only so that nobody's line starts in the middle of another's that is being written, or was never finished.
        locks.take(descriptor, path)
        return files.append(descriptor, line, path, sync=True, torn=files.ends_torn(descriptor))
    except OSError as error:
        raise files.failure(path, error) from error
    finally:
        os.close(descriptor)


def has_entry(path: str, run_id: str, resumes: int) -> bool:
    """Whether a run's end is already recorded. Looks only at lines that name the run."""
    import json

    name = f'"run_id":"{run_id}"'.encode()
    try:
        with open(path, "rb") as file:
            for line in file:
                if name in line and line.endswith(b"\n"):
                    try:
                        value = json.loads(line)
                    except ValueError:
                        continue
                    if value.get("run_id") == run_id and value.get("resumes", 0) == resumes:
                        return True
    except FileNotFoundError:
        pass
    return False
