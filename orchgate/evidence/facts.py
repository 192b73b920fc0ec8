"""What the runs that documents cite claim of themselves, in the few words that a pin keeps, and how they ended."""

from __future__ import annotations

import re
from itertools import islice

from orchgate.errors import OrchgateError, quoted
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.locate import OURS

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Collection, Iterator, Mapping

    from orchgate.evidence.lock import Lock, RunFacts
    from orchgate.git.snapshot import Snapshot
    from orchgate.references.artifacts import Artifacts
    from orchgate.runs.run import Run, Usage


_OBJECT_ID = lazy(r"[0-9a-f]{40}|[0-9a-f]{64}")
_LONGEST = 1_000  # characters of a name that a pin keeps
_LONGEST_LIST = 12_000  # characters of all paths beside the commit; escaped and with ids they fit a line of the lock
_MOST_METRICS = 100  # of a program's own that a pin keeps
_COUNTS = ("passed", "failed", "errors", "skipped")
_USED = ("wall_seconds", "max_rss_bytes", "tree_rss_bytes", "read_bytes", "written_bytes", "processes")
_LONGEST_REASON = 200  # characters


def facts_of(run: Run) -> RunFacts:
    """The facts of a run, whatever of it is known."""
    from orchgate.evidence.lock import RunFacts
    from orchgate.runs.run import RecordedTree

    git = run.git or RecordedTree()
    numbers = dict(sorted(_numbers(run)))
    return RunFacts(
        task=run.task_id[:_LONGEST],
        run_id=run.run_id[:_LONGEST],
        pipeline=run.pipeline_id[:_LONGEST],
        status=run.status[:_LONGEST],
        commit=_object_id(git.commit),
        tree=_object_id(git.tree),
        dirty=git.dirty,
        machine=run.machine.fingerprint[:_LONGEST] if run.machine else "",
        numbers=numbers,
        format=OURS if run.format == OURS else "",
        changed=_contents(git.changed),
        untracked=_contents(git.untracked),
        cached=sum(stage.cached for stage in run.stages) if run.format == OURS else None,
        lower_bounds=dict(sorted(_lower_bounds(run.usage, numbers).items())) if run.usage else {},
        accepts=run.accepts.pinned() if run.accepts and run.format == OURS else {},
    )


def _lower_bounds(usage: Usage, numbers: Collection[str]) -> dict[str, str]:
    """The numbers that are lower bounds, with the reason; all that were used where none is named and some are."""
    if not usage.lower_bounds and usage.complete is False:
        return {name: "" for name in (*_USED, "cpu_seconds") if name in numbers}
    return {name: why[:_LONGEST_REASON] for name, why in usage.lower_bounds.items() if name in numbers}


def _object_id(value: str | None) -> str | None:
    return value if value and _OBJECT_ID.fullmatch(value) else None


def _contents(value: Mapping[str, str | None] | None) -> Mapping[str, str | None] | None:
    """What was there beside the commit; None for what is not said, or too long for a line of the lock."""
    return dict(sorted(value.items())) if value is not None and sum(map(len, value)) <= _LONGEST_LIST else None


def _numbers(run: Run) -> Iterator[tuple[str, float]]:
    """Metrics by the names of verdict/values.py; those that were not measured are left out."""
    from orchgate.runs.run import Usage

    usage, tests = run.usage or Usage(), run.tests
    found: dict[str, float | None] = {name: getattr(usage, name) for name in _USED}
    if usage.wall_seconds is None:
        found["wall_seconds"] = _seconds(run)
    if run.resumptions and run.away_seconds is None:
        found["wall_seconds"] = None  # of a time that holds hours in which nobody ran it
    if usage.user_seconds is not None and usage.system_seconds is not None:
        found["cpu_seconds"] = usage.user_seconds + usage.system_seconds
    found["manifest_writes"] = run.writes.manifest_writes if run.writes else None
    found |= {f"tests_{name}": getattr(tests, name) for name in _COUNTS} if tests else {}
    # What a program says of itself, or was observed doing, is what its readers mean: the runner's own manifest writes
    # are the same in every run.
    own = sorted(run.metrics.items())
    found |= {name[:_LONGEST]: value for name, value in own[:_MOST_METRICS]}
    for name, value in found.items():
        if value is not None and 0 <= value < 1e300:
            yield name, round(value, 6)


def _seconds(run: Run) -> float | None:
    """Between the moments that the manifest gives."""
    from orchgate.lib.json_data import UNKNOWN_TIME

    if run.completed_at is None or run.started_at == UNKNOWN_TIME:
        return None
    return round((run.completed_at - run.started_at).total_seconds(), 3)


SUCCEEDED = frozenset({"succeeded", "success", "passed", "completed", "complete", "ok", "done"})
# Words of a sentence that knowingly cites a run that did not succeed.
FAILURE = lazy(
    r"\b(?:fail|abort|cancel|crash|kill|interrupt|time(?:d )?-?out|unsuccessful|non-?zero|broken|block|reject|"
    r"in[- ]progress|(?:still |is )running|abandon|inconclusive|negative|red\b|exit(?:ed)? (?:code )?[1-9])",
    re.IGNORECASE,
)
# In a manifest written with two blanks of indent, this can only be a key of the outermost object.
_TOP_STATUS = lazy(rb'\n  "status": ?"([^"\\\n]{1,64})"')


_RUN = lazy(r"/cli/+([^\s/`'\"<>|()\[\]{}*]+)")
_RUNS = lazy(r"/cli/+([^\s/`'\"<>|()]*[*?\[{][^\s/`'\"<>|()]*)")  # a pattern of names
_ID = lazy(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d-\d{3}Z-[0-9a-f]{8}")
_ESCAPED = lazy(r"%[0-9A-Fa-f]{2}|&#?\w+;")
_REACH = 60  # lines below a heading, a label or a box that may belong to it


def may_cite(text: str) -> bool:
    """Whether a text may name a run: by where every run lies, by an id, or by something that is written otherwise."""
    return "/cli/" in text or "Z-" in text or _is_escaped(text)


def _is_escaped(text: str) -> bool:
    return ("%" in text or "&" in text) and _ESCAPED.search(text) is not None


def _named(line: str) -> Iterator[str]:
    """The names of runs on a line, and patterns of such names, also where a reader of links has to decode them."""
    texts = [line]
    if _is_escaped(line):
        from orchgate.markdown.inline_text import unescaped
        from orchgate.references.targets import unquoted

        texts += [unquoted(line), unquoted(unescaped(line))]
    for text in texts:
        yield from (name for names in (_RUN, _RUNS) if "/cli/" in text for name in names.findall(text))
        yield from _ID.findall(text) if "Z-" in text else ()


def cited_anew(now: str, left: Counter[str]) -> frozenset[str]:
    """The names of runs that a text may claim something new of: those on lines that it has more often than before.

    A new heading, label or ticked box may make a claim of what stands below it. `left` counts the lines of all texts as
    they were; what the text has of them is taken out.
    """
    if not may_cite(now):
        return frozenset()
    found: set[str] = set()
    reach = 0  # lines for which what stood above goes on
    for line in now.split("\n"):
        new = left[line] <= 0
        left[line] -= 1
        frames = line.startswith("#") or line.rstrip().endswith(":") or "[x]" in line.lower()
        if new and frames:
            reach = _REACH
        elif line.startswith("#"):
            reach = 0
        if (new or reach > 0 or "]:" in line) and may_cite(line):  # a label may be defined far from its use
            found.update(_named(line))
        reach -= 1
    return frozenset(found)


class CitedRuns:
    """Manifests cited by documents, each read once. What is pinned is answered from its pin, on disk or not."""

    def __init__(self, snapshot: Snapshot, artifacts: Artifacts, max_bytes: int, lock: Lock | None = None) -> None:
        self._snapshot = snapshot
        self._artifacts = artifacts
        self._max_bytes = max_bytes
        self._lock = lock
        self._status: dict[str, str] = {}
        self._facts: dict[str, RunFacts] = {}

    def status(self, path: str) -> str:
        """The status at the top of a manifest, "" when it has none. Raises OrchgateError when it cannot be read."""
        if path not in self._status:
            self._status[path] = self._read_status(path)
        return self._status[path]

    def _read_status(self, path: str) -> str:
        pinned = self._pinned(path)
        if pinned is not None:
            return pinned.status
        data = self._bytes(path)
        # What is ours has a journal to be held against.
        foreign = b"orchgate" not in data and b"\\u00" not in data and not self._has_journal(path)
        match = _TOP_STATUS.search(data) if foreign and data.startswith((b'{\n  "', b'{\r\n  "')) else None
        if match:
            return match[1].decode("utf-8", "replace")
        return str(self._parsed(path, data).get("status") or "")

    def facts(self, path: str) -> RunFacts:
        """What a manifest claims. Raises OrchgateError when it cannot be read or is not a JSON object."""
        from orchgate.runs.run import from_manifest

        if path not in self._facts:
            self._facts[path] = self._pinned(path) or facts_of(from_manifest(self._parsed(path, self._bytes(path))))
        return self._facts[path]

    def other_tools(self, path: str) -> str:
        """In what the tools of a run differ from those of a pinned one of its tree that ended otherwise, in words."""
        from orchgate.tools.counterparts import MOST, told_apart

        run = self._here(path)
        tree = run.git.tree if run and run.git else None
        if run is None or tree is None or self._lock is None:
            return ""
        alike = (pin for pin in self._lock.pins.values() if pin.run and pin.run.tree == tree)
        same = (self._here(pin.path) for pin in alike if pin.run and pin.run.pipeline == run.pipeline_id)
        return told_apart(run, islice(filter(None, same), MOST))

    def _here(self, path: str) -> Run | None:
        """A run whose manifest can be read on this machine."""
        from orchgate.runs.run import from_manifest

        try:
            return from_manifest(self._parsed(path, self._bytes(path)))
        except OrchgateError:
            return None

    def digests(self, path: str) -> tuple[str, str | None]:
        """The hashes of a manifest and of its journal, as pinned, else as they are here; None for no journal of ours.

        Raises OrchgateError when the manifest cannot be read.
        """
        from orchgate.lib.files import sha256_hex
        from orchgate.runs.locate import journal_of

        ours = self.facts(path).format == OURS
        if self._lock is not None and self._pinned(path) is not None:
            manifest, journal = self._lock.get(path), self._lock.get(journal_of(path))
            assert manifest is not None
            return manifest.sha256, journal.sha256 if journal and ours else None
        found = self._journal(path) if ours else None
        return sha256_hex(self._bytes(path)), None if found is None else sha256_hex(found)

    def _pinned(self, path: str) -> RunFacts | None:
        """The pinned facts; None for what is not pinned, or is in the tree itself. Raises OrchgateError without any."""
        pin = self._lock.get(path) if self._lock else None
        if pin is None or path in self._snapshot.entries:
            return None
        if pin.run is None:
            raise OrchgateError("is pinned without the facts of its run", f"orchgate evidence pin {quoted(path)}")
        return pin.run

    def _parsed(self, path: str, data: bytes) -> dict[str, object]:
        from orchgate.runs import journal
        from orchgate.runs.decode import parse

        document = parse(data, self._max_bytes)
        journal.require(document, lambda: self._journal(path))
        return document

    def _has_journal(self, path: str) -> bool:
        from orchgate.runs.locate import journal_of

        entries, beside = self._snapshot.entries, journal_of(path)
        return beside in entries if path in entries else self._artifacts.on_disk(beside)

    def _journal(self, path: str) -> bytes | None:
        """The journal of a manifest, from where the manifest is: the judged tree, or the disk."""
        from orchgate.runs import journal
        from orchgate.runs.locate import journal_of

        if path in self._snapshot.entries:
            return self._snapshot.find(journal_of(path), journal.MAX_BYTES)
        there = self._artifacts.on_disk(journal_of(path))
        return journal.beside(self._artifacts.full(path)) if there else None

    def _bytes(self, path: str) -> bytes:
        if path in self._snapshot.entries:
            return self._snapshot.read(path, self._max_bytes)
        from orchgate.runs.locate import read_file

        return read_file(self._artifacts.full(path), self._max_bytes)
