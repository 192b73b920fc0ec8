"""The lines of a scan as JSON, and the file that keeps them: a scan that was ended goes on after its last whole line.

The first line of the file says of what the scan is, one line each unit in their order, and the last line adds them up.
"""

from __future__ import annotations

import json
import os
import stat
import time
from datetime import UTC, datetime

from orchgate.errors import OrchgateError, UsageError
from orchgate.lib import files, locks
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.scan.values import UnitResult

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Self

    from orchgate.scan.values import UnitSpec

SYNC_SECONDS = 1.0  # of work that the end of the machine, not of the scan, may cost
_LONGEST = 1 << 20  # bytes of one line
_START = b'{"format":"orchgate-scan",'
_OTHERS = {
    "orchgate": "of another version of orchgate",
    "base": "of another range",
    "head": "of another range",
    "first_parent": "with or without --first-parent",
    "repositories": "of another list of repositories",
    "configuration": "by another configuration",
    "profile": "by another profile",
}


def time_of(seconds: float) -> str:
    """A time as JSON has it, of seconds since 1970."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def seconds_of(time: object) -> float:
    """Seconds since 1970 of a time that a file names. Raises UsageError for what is none."""
    try:
        return datetime.fromisoformat(str(time)).timestamp()
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{str(time)[:40]!r} is no time that a scan began at", "name another file") from error


def facts_of(one: UnitResult) -> dict[str, Any]:
    """A unit as the facts of its line."""
    return {
        "unit": one.unit,
        "kind": one.kind,
        "commit": one.commit or None,
        "verdict": one.verdict,
        "rules": dict(one.rules),
        "errors": dict(one.errors),
        "older_count": one.older,
        "configuration": one.configuration or None,
        "error": one.error or None,
        "seconds": one.seconds,
    }


def result_of(line: Mapping[str, Any]) -> UnitResult:
    """The unit of a line. Raises ValueError and the like for what is none."""
    if line["verdict"] not in {one.value for one in Verdict}:
        raise ValueError(line["verdict"])
    rules, errors = ({str(rule): int(count) for rule, count in line[name].items()} for name in ("rules", "errors"))
    return UnitResult(
        str(line["unit"]),
        str(line["kind"]),
        str(line["commit"] or ""),
        line["verdict"],
        rules,
        errors,
        int(line["older_count"]),
        str(line["configuration"] or ""),
        str(line["error"] or ""),
        float(line["seconds"]),
    )


class KeptLines:
    """The file of a scan, ours alone while it is open."""

    def __init__(self, path: str) -> None:
        self.path = path
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOCTTY, 0o666)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}", "name a file that can be written: --output FILE") from error
        try:
            if not stat.S_ISREG(os.fstat(self._descriptor).st_mode):
                raise UsageError(f"{path} is not a regular file", "name another file")
            if not locks.try_lock(self._descriptor, path):
                raise OrchgateError(f"{path} is being written by another scan", "wait for it, or name another file")
        except BaseException:
            os.close(self._descriptor)
            raise
        self._synced = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            files.sync_content(self._descriptor, self.path)
        finally:
            os.close(self._descriptor)

    def head(self) -> dict[str, Any] | None:
        """What the file says of its scan; None where nothing is in it. Raises UsageError for another kind of file."""
        for line in self._whole():
            if isinstance(line, dict) and line.get("format") == "orchgate-scan" and isinstance(line.get("scan"), dict):
                return line
            raise self._strange()
        # Of a head that was never finished there may be a part; what begins otherwise is not ours to cut off.
        begun = os.pread(self._descriptor, len(_START), 0)
        if not _START.startswith(begun) or os.fstat(self._descriptor).st_size > _LONGEST:
            raise self._strange()
        return None

    def _strange(self) -> UsageError:
        return UsageError(f"{self.path} is not the file of a scan", "name another file")

    def require(self, head: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        """Raises UsageError where the file is of another scan."""
        kept = {**head["scan"], "orchgate": head.get("orchgate")}
        for name in (*wanted, *kept):
            if kept.get(name) != wanted.get(name) and name != "judged_at":
                what = _OTHERS.get(name, f"with another {name}")
                raise UsageError(f"{self.path} is of a scan {what}", "name another file, or remove this one")

    def results(self, units: Iterator[UnitSpec]) -> Iterator[UnitResult]:
        """The units that are in the file already, which are those that come first; what is behind them is cut off.

        Raises UsageError where a line is of another unit.
        """
        end = 0
        for number, (line, end_of_line) in enumerate(self._numbered()):
            if number:
                try:
                    found = result_of(line)
                except (ValueError, TypeError, KeyError, AttributeError):
                    break  # the summary, or what somebody else wrote
                if (spec := next(units, None)) is None or found.unit != spec.unit:
                    raise UsageError(f"{self.path}:{number + 1}: {found.unit[:80]} is not what comes next", "remove it")
                yield found
            end = end_of_line
        os.ftruncate(self._descriptor, end)

    def _whole(self) -> Iterator[Any]:
        return (line for line, _ in self._numbered())

    def _numbered(self) -> Iterator[tuple[Any, int]]:
        """Each line that is whole, and where it ends."""
        end = 0
        with open(os.dup(self._descriptor), "rb") as file:
            file.seek(0)
            while (line := file.readline(_LONGEST)).endswith(b"\n"):
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError):
                    return
                end += len(line)
                yield found, end

    def write(self, text: str) -> None:
        """Appends a line, whole."""
        files.append(self._descriptor, text.encode("ascii"), self.path, sync=self._is_time())

    def _is_time(self) -> bool:
        now = time.monotonic()
        if now - self._synced < SYNC_SECONDS:
            return False
        self._synced = now
        return True
