"""The files of one run: its folder, journal, manifest and metrics entry, and how much was written to them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from orchgate.errors import OrchgateError
from orchgate.lib import files
from orchgate.lib.inside import require_real
from orchgate.metrics import entries
from orchgate.runs import ids, journal, run_folder, sittings, state
from orchgate.runs.entry import entry
from orchgate.runs.run import from_manifest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orchgate.runs.ids import Clock
    from orchgate.runs.run import Run, StageRun

    Event = Mapping[str, Any]

FOLDERS = ("stages", "artifacts")


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
        self._fold = state.Fold()  # of these events
        self.journal = journal.Journal(os.path.join(begun_in or folder, ids.JOURNAL))
        self._seen = seen
        self._before: Mapping[str, int] = {}  # what an earlier process wrote for this run
        self._manifests = 0
        self._manifest_bytes = 0
        self._logs: set[str] = set()
        self.other_files = 0  # written beside these: for the cache, for an agent

    def begin(self, event: Event) -> None:
        """Records the first event of this process, and the first manifest. Raises WriteError."""
        stamped = self._add(event, sync=True)
        if self._aside:
            run_folder.appear(self._aside, self.folder)
            self.journal.path, self._aside = os.path.join(self.folder, ids.JOURNAL), ""
        self._write_manifest(state.render(self._fold.manifest()))
        self._seen(self, stamped)

    def carry_on(self, events: Iterable[state.Event]) -> None:
        """What the journal held when this process took over."""
        for event in events:
            self._keep(event)
        written = (event["writes"] for event in reversed(self.events) if event["event"] == "finish")
        self._before = next(filter(None, written), {})

    def record(self, event: Event, *, sync: bool = False) -> None:
        """Adds an event, stamped with the time. Raises WriteError: then it never happened."""
        self._seen(self, self._add(event, sync=sync))

    def _add(self, event: Event, *, sync: bool) -> Event:
        stamped = self._stamped(event)
        self.journal.append(stamped, sync=sync)
        self._keep(stamped)
        if "log_path" in event:
            self._logs.add(event["log_path"])
        return stamped

    def _keep(self, event: state.Event) -> None:
        self.events.append(event)
        self._fold.add(event)

    def run(self) -> Run:
        """What has been recorded so far."""
        return from_manifest(self._fold.manifest(), os.path.join(self.folder, ids.MANIFEST))

    @property
    def stages(self) -> tuple[StageRun, ...]:
        """The run's stages as they stand."""
        return self.run().stages

    def _stamped(self, event: Event) -> state.Event:
        """An event with its time, and how long this process was away so far; the first event always has that."""
        away = self.clock.away()
        counted = {sittings.KEY: away} if away or event["event"] in ("run", "resume") else {}
        return {"event": event["event"], "at": ids.moment(self.clock.now()), **event, **counted}

    def finish(self, status: str, detail: str | None) -> state.Document:
        """Ends the run: journal, metrics, manifest, in this order. Raises WriteError."""
        event = self._stamped({"event": "finish", "status": status, "detail": detail})
        event |= {"summary": summary(self.stages), "writes": self._writes()}
        self._fold.add(event)
        document = self._fold.manifest()
        self._count_the_rest(event, document)
        self.journal.append(event, sync=True)
        self.events.append(event)
        self._write_entry(document)
        self._write_manifest(state.render(document))
        self._seen(self, event)
        return document

    def settle(self) -> state.Document:
        """Metrics entry and manifest of a run that ended before, where its process did not come to write them."""
        document = self._fold.manifest()
        if not entries.has(self._entries, self.run_id, len(document["resume_events"])):
            self._write_entry(document)
        self._write_manifest(state.render(document))
        return document

    @property
    def _entries(self) -> str:
        return os.path.join(os.path.dirname(os.path.dirname(self.folder)), ids.METRICS)

    def _write_entry(self, document: state.Document) -> None:
        entries.append(self._entries, _entry(document))

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
            run_folder.drop(self._aside)

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
    def _count_the_rest(event: Event, document: state.Document) -> None:
        """Adds the bytes of the last line, the entry and the last manifest, each of which holds the sum itself."""
        writes = event["writes"]  # the manifest's as well
        written, digits = writes["bytes"], len(str(writes["bytes"]))
        rest = len(journal.encode(event)) + len(_entry(document)) + len(b"\n\n")
        rest += len(state.render(document)) - 3 * digits
        for _ in range(3):
            writes["bytes"] = written + rest + 3 * len(str(writes["bytes"]))


def create(root: str, task: str, clock: Clock, seen: Callable[[Recorder, Event], None], run_id: str = "") -> Recorder:
    """A new run of a task, whose folder appears with its first event. Raises WriteError, UsageError."""
    run_id = run_id or ids.new_run_id(clock.now())
    folder = ids.run_folder(root, task, run_id)
    with run_folder.folder_for(ids.task_folder(root, task), run_id) as begun_in:
        try:
            for name in FOLDERS:
                os.mkdir(os.path.join(begun_in, name))
        except OSError as error:
            raise files.failure(begun_in, error) from error
        recorder = Recorder(folder, clock, seen, begun_in)
        recorder.journal.own()
    return recorder


def _entry(document: state.Document) -> bytes:
    return entries.encode(entry(from_manifest(document)))


def summary(stages: Iterable[StageRun]) -> str:
    """One line about all stages, for people."""
    counts: dict[str, int] = {}
    flaky = []
    for stage in stages:
        counts[stage.status] = counts.get(stage.status, 0) + 1
        if stage.cached:
            counts["cached"] = counts.get("cached", 0) + 1
        if stage.flaky:
            flaky.append(stage.id)
    text = ", ".join(f"{count} {status}" for status, count in counts.items()) or "no stages"
    return text + (f"; flaky: {', '.join(flaky)[:200]}" if flaky else "")
