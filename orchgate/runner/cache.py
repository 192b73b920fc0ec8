"""Remembers which stages succeeded with which inputs: one small file for each, under `.runs/.cache/`.

Nothing rests on it. An entry that is torn, foreign, forged or whose run is gone is a miss that says so; one that cannot
be written is a stage that runs again.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from typing import TYPE_CHECKING, Any, NamedTuple

from orchgate.errors import Unreadable
from orchgate.lib import files
from orchgate.runner import products
from orchgate.runs import ids
from orchgate.runs.decode import ManifestError
from orchgate.runs.junit import Counts
from orchgate.runs.locate import NAME, RUN_ID, read_file

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orchgate.runner.products import Product

FOLDER = ".cache"
VERSION = 1  # of what an entry holds
KEEP = 1_000  # entries; the ones that were not asked for the longest go first
MAX_BYTES = 64 * 1024
MAX_PRODUCTS_BYTES = 4 * 1024 * 1024
LEFT_OVER_SECONDS = 3600.0
_KEY = re.compile(r"[0-9a-f]{64}")
_FORMAT = "orchgate-cache"


class Hit(NamedTuple):
    """An earlier success. `log_path` is that log's path from the run's own folder, "" for none.

    `products` are what it left behind, of a stage that says so.
    """

    task_id: str
    run_id: str
    stage_id: str
    log_path: str = ""
    summary: str | None = None
    tests: Counts | None = None
    metrics: Mapping[str, float] = {}
    products: tuple[Product, ...] = ()


class Miss(NamedTuple):
    """Why a stage has to run."""

    reason: str


class Cache:
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
            return Miss("it never succeeded with these inputs")
        try:
            hit = _decoded(read_file(path, MAX_BYTES + MAX_PRODUCTS_BYTES), key)
        except (_DamagedError, ManifestError, Unreadable) as error:
            return Miss(f"its cache entry cannot be used: {getattr(error, 'message', error)}")
        if not os.path.isfile(os.path.join(self._root, ids.RUNS, hit.task_id, "cli", hit.run_id, NAME)):
            return Miss(f"the run that did it is gone: {hit.run_id}")
        if changed := products.why_changed(self._root, hit.products):
            return Miss(changed)
        with contextlib.suppress(OSError):
            os.utime(path)  # what is asked for stays
        return hit

    def record(self, key: str, success: Hit) -> str:
        """Remembers a success. Returns why it could not, or "". No errors."""
        path = self._path(key)
        if path is None:
            return "it has no key"
        data = _encoded(key, success)
        limit = MAX_BYTES + (MAX_PRODUCTS_BYTES if success.products else 0)
        if len(data) > limit:
            return f"what there is to remember takes {len(data)} bytes, limit {limit}"
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
        """Drops the entries nobody asked for, and what a killed writer left."""
        with os.scandir(self._folder) as listed:
            names = [entry.name for entry in listed]
        if len(names) <= self._keep:
            return
        ages: list[tuple[float, str]] = []
        for name in names:
            path = os.path.join(self._folder, name)
            with contextlib.suppress(FileNotFoundError):  # somebody else prunes too
                ages.append((os.lstat(path).st_mtime, path))
        entries = sorted(aged for aged in ages if aged[1].endswith(".json"))
        stale = [aged for aged in ages if aged[1].endswith(".tmp") and aged[0] < time.time() - LEFT_OVER_SECONDS]
        for _, path in (*entries[: max(0, len(entries) - self._keep)], *stale):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)


class _DamagedError(Exception):
    """What is wrong with an entry."""


def _encoded(key: str, success: Hit) -> bytes:
    import json

    entry = {**success._asdict(), "tests": success.tests._asdict() if success.tests else None}
    if not success.products:  # as it was before there were any; a stage that declares some has another key
        del entry["products"]
    body = {"format": _FORMAT, "version": VERSION, "key": key, **entry, "metrics": dict(success.metrics)}
    return json.dumps({**body, "digest": _digest(body)}, separators=(",", ":")).encode("ascii") + b"\n"


def _digest(body: Mapping[str, Any]) -> str:
    import hashlib
    import json

    told = json.dumps(body, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(told.encode("ascii")).hexdigest()


def _decoded(data: bytes, key: str) -> Hit:
    """The success an entry tells of. Raises _DamagedError."""
    import json

    if not data.endswith(b"\n"):
        raise _DamagedError("it is torn")
    try:
        entry = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _DamagedError("it is not JSON") from error
    if not isinstance(entry, dict) or entry.get("format") != _FORMAT or entry.get("version") != VERSION:
        raise _DamagedError("it was written by another version, or by something else")
    digest = entry.pop("digest", None)
    if entry.get("key") != key or digest != _digest(entry):
        raise _DamagedError("it was changed, or belongs to something else")
    return _hit(entry)


def _hit(entry: Mapping[str, Any]) -> Hit:
    try:
        tests = Counts(**entry["tests"]) if entry["tests"] else None
        left = products.decoded(entry.get("products", ()))
        plain = {name: entry[name] for name in Hit._fields if name not in ("tests", "products")}
        hit = Hit(**plain, tests=tests, products=left)
        outside = hit.log_path.startswith("/") or ".." in hit.log_path.split("/")
        if outside or "/" in hit.task_id or hit.task_id.startswith(".") or not RUN_ID.fullmatch(hit.run_id):
            raise _DamagedError("it names a run that cannot be")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise _DamagedError("it holds something unexpected") from error
    return hit
