"""Which stages succeeded with which inputs: one small file for each under `.runs/.cache/`, and how a run uses them.

Nothing depends on it. An entry that is truncated, foreign, forged or whose run is gone is a miss that says so; one that
cannot be written is a stage that runs again.
"""

from __future__ import annotations

import contextlib
import os
import re
import time

from orchgate.errors import Unreadable
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.result_files.counts import CountedTests, restored
from orchgate.runner import inputs
from orchgate.runner.inputs import Keys
from orchgate.runs import ids
from orchgate.runs.decode import ManifestError
from orchgate.runs.locate import NAME, RUN_ID, read_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

    from orchgate.runner.inputs import Product
    from orchgate.runner.session import RunSettings
    from orchgate.runs.stages import Pipeline
    from orchgate.runs.state import Event

UNCHECKED = "its outputs are not checked: it declares none"
FOLDER = ".cache"
VERSION = 1  # of what an entry holds
KEEP = 1_000  # entries; those unused for longest go first
MAX_BYTES = 64 * 1024
MAX_PRODUCTS_BYTES = 4 * 1024 * 1024
LEFT_OVER_SECONDS = 3600.0
_KEY = re.compile(r"[0-9a-f]{64}")
_FORMAT = "orchgate-cache"


class Hit(NamedTuple):
    """An earlier success. `log_path` is that log's path from the run's own folder, "" for none.

    `products` are its outputs, where it declares any.
    """

    task_id: str
    run_id: str
    stage_id: str
    log_path: str = ""
    summary: str | None = None
    tests: CountedTests | None = None
    metrics: Mapping[str, float] = {}
    products: tuple[Product, ...] = ()


class Miss(NamedTuple):
    """Why a stage has to run."""

    reason: str


class CacheStore:
    """The cache of one work tree; `root` is its top."""

    def __init__(self, root: str, keep: int = KEEP) -> None:
        self._root = root
        self._folder = os.path.join(root, ids.RUNS, FOLDER)
        self._keep = keep

    def lookup(self, key: str) -> Hit | Miss:
        """What is known under a key. No errors."""
        path = self._path(key)
        if path is None:
            return Miss("it has no key")
        if not os.path.lexists(path):
            return Miss("it has not succeeded with these inputs yet")
        try:
            hit = _decoded(read_file(path, MAX_BYTES + MAX_PRODUCTS_BYTES), key)
        except (_DamagedError, ManifestError, Unreadable) as error:
            return Miss(f"its cache entry cannot be used: {getattr(error, 'message', error)}")
        if not os.path.isfile(os.path.join(self._root, ids.RUNS, hit.task_id, "cli", hit.run_id, NAME)):
            return Miss(f"the run it came from is gone: {hit.run_id}")
        if changed := inputs.why_changed(self._root, hit.products):
            return Miss(changed)
        with contextlib.suppress(OSError):
            os.utime(path)  # what is used stays
        return hit

    def record(self, key: str, success: Hit) -> str:
        """Remembers a success. Returns why it could not, or "". No errors."""
        path = self._path(key)
        if path is None:
            return "it has no key"
        data = _encoded(key, success)
        limit = MAX_BYTES + (MAX_PRODUCTS_BYTES if success.products else 0)
        if len(data) > limit:
            return f"the entry takes {len(data)} bytes, limit {limit}"
        if os.path.islink(self._folder):
            return f"{ids.RUNS}/{FOLDER} is a symbolic link"
        try:
            os.makedirs(self._folder, exist_ok=True)
            # Not synced: after a power cut the entry may be empty, and that is a miss like any other.
            files.replace(path, data, sync=False)
            self._prune()
        except files.WriteError as error:
            return f"cannot be written: {os.strerror(error.code)}"
        except OSError as error:
            return f"cannot be written: {error.strerror}"
        return ""

    def _path(self, key: str) -> str | None:
        return os.path.join(self._folder, f"{key}.json") if _KEY.fullmatch(key) else None

    def _prune(self) -> None:
        """Drops the entries unused for longest, and what a killed writer left behind."""
        with os.scandir(self._folder) as listed:
            names = [entry.name for entry in listed]
        if len(names) <= self._keep:
            return
        ages: list[tuple[float, str]] = []
        for name in names:
            path = os.path.join(self._folder, name)
            with contextlib.suppress(FileNotFoundError):  # another process prunes as well
                ages.append((os.lstat(path).st_mtime, path))
        entries = sorted(aged for aged in ages if aged[1].endswith(".json"))
        stale = [aged for aged in ages if aged[1].endswith(".tmp") and aged[0] < time.time() - LEFT_OVER_SECONDS]
        for _, path in (*entries[: max(0, len(entries) - self._keep)], *stale):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


class StageCache:
    """The cache as one run uses it. Stages are numbered from 1."""

    def __init__(self, settings: RunSettings, pipeline: Pipeline, inherited: Mapping[str, str]) -> None:
        self._root = settings.root
        self._pipeline = pipeline
        self._inherited = inherited
        self._found: dict[int, str] = {}
        self._needed: dict[int, tuple[str, ...]] = {}
        self._left: dict[int, str] = {}  # digests of the outputs of stages
        self._to_record: dict[int, tuple[Product, ...]] = {}  # of successes that are to be cached
        self.reasons: dict[int, str] = {}  # why a stage that could be cached has to run
        self.written = 0  # entries
        self._cache = CacheStore(settings.root)
        asked = settings.cache and any(stage.inputs for stage in pipeline.stages)
        self._keys = Keys(settings.repository, pipeline.stages, settings.environ) if asked else None

    def hit(self, index: int, needed: Iterable[int]) -> Event | None:
        """The fields of a `cached` event, when a stage is known to succeed with what it reads now."""
        stage = self._pipeline.stages[index - 1]
        if self._keys is None or not stage.inputs:
            return None
        self._needed[index] = tuple(token for other in sorted(needed) if (token := self._token(other)))
        key, self.reasons[index] = self._key(index)
        if not key:
            return None
        self._found[index] = key
        known = self._cache.lookup(key)
        if isinstance(known, Miss):
            self.reasons[index] = known.reason
            return None
        if stage.outputs and not known.products:
            self.reasons[index] = "its cache entry does not list its outputs"
            return None
        if known.products:
            self._note_outputs(index, known.products)
        unchecked = not known.products and any(stage.id in other.needs for other in self._pipeline.stages)
        fields = {"from": known.run_id, "cache_key": key, "summary": known.summary, "metrics": dict(known.metrics)}
        tests = known.tests.fields() if known.tests else {"tests": None}
        return fields | tests | {"detail": UNCHECKED if unchecked else None}

    def _token(self, index: int) -> str:
        """What represents a stage in the keys of those that need it: its inputs and outputs."""
        return " ".join(filter(None, (self._found.get(index), self._left.get(index))))

    def _note_outputs(self, index: int, left: Iterable[Product]) -> None:
        self._left[index] = inputs.digest(left)

    def _key(self, index: int) -> tuple[str, str]:
        """The key as things are now, "" for none, and then why."""
        assert self._keys is not None
        stage = self._pipeline.stages[index - 1]
        key = self._keys.key(stage, self._pipeline.id, self._inherited, self._needed[index])
        return key.value, key.reason

    def key(self, index: int) -> str:
        return self._found.get(index, "")

    def ended(self, index: int, *, succeeded: bool) -> str:
        """A stage really ran, which is not recorded yet: it may have changed what others read.

        Returns a note on a success that did not leave its declared outputs, or cannot be cached.
        """
        if self._keys is not None:
            self._keys.forget()
        if not succeeded:
            return ""
        stage, key = self._pipeline.stages[index - 1], self._found.get(index, "")
        left: tuple[Product, ...] = ()
        if stage.outputs:
            try:
                if self._keys is None:  # nothing is cached
                    inputs.find(self._root, stage.outputs)
                    return ""
                left = inputs.collect(self._root, stage.outputs)
            except inputs.NotKeptError as error:
                return f"{error.message}: not cached" if key else error.message
            self._note_outputs(index, left)
        if key and key != self._key(index)[0]:  # it may have read either version
            return "its inputs changed while it ran: not cached"
        if key:
            self._to_record[index] = left
        return ""

    def ran(self, index: int, event: Mapping[str, Any], task: str, run_id: str) -> None:
        """A stage's end is recorded: its success may be cached. A flaky stage has to run every time."""
        left = self._to_record.pop(index, None)
        if left is None or event["attempt"] > 1:
            return
        name = self._pipeline.stages[index - 1].id
        failing = {"failing": tuple(event["failed_tests"])} if event.get("failed_tests") else {}
        tests = restored({**event["tests"], **failing}) if event.get("tests") else None
        metrics = event.get("metrics") or {}
        hit = Hit(task, run_id, name, ids.log_path(index, name), event["summary"], tests, metrics, left)
        if not self._cache.record(self._found[index], hit):
            self.written += 1


class _DamagedError(Exception):
    """What is wrong with an entry."""


def _encoded(key: str, success: Hit) -> bytes:
    import json

    entry = {**success._asdict(), "tests": success.tests.stored() if success.tests else None}
    if not success.products:  # as it was before there were any; a stage that declares some has another key
        del entry["products"]
    body = {"format": _FORMAT, "version": VERSION, "key": key, **entry, "metrics": dict(success.metrics)}
    return json.dumps({**body, "digest": _digest(body)}, separators=(",", ":")).encode("ascii") + b"\n"


def _digest(body: Mapping[str, Any]) -> str:
    import hashlib
    import json

    text = json.dumps(body, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _decoded(data: bytes, key: str) -> Hit:
    """The success in an entry. Raises _DamagedError."""
    import json

    if not data.endswith(b"\n"):
        raise _DamagedError("it is truncated")
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _DamagedError("it is not JSON") from error
    if not isinstance(entry, dict) or entry.get("format") != _FORMAT or entry.get("version") != VERSION:
        raise _DamagedError("it was written by another version, or by something else")
    digest = entry.pop("digest", None)
    if entry.get("key") != key or digest != _digest(entry):
        raise _DamagedError("it was edited, or belongs to another stage")
    return _hit(entry)


def _hit(entry: Mapping[str, Any]) -> Hit:
    try:
        tests = restored(entry["tests"]) if entry["tests"] else None
        left = inputs.decoded(entry.get("products", ()))
        plain = {name: entry[name] for name in Hit._fields if name not in ("tests", "products")}
        hit = Hit(**plain, tests=tests, products=left)
        outside = hit.log_path.startswith("/") or ".." in hit.log_path.split("/")
        if outside or "/" in hit.task_id or hit.task_id.startswith(".") or not RUN_ID.fullmatch(hit.run_id):
            raise _DamagedError("it names an impossible run")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _DamagedError("it holds something unexpected") from error
    return hit
