"""The file in which a run leaves the results of its benchmarks: whether this run wrote it, and what it says.

It is looked for in the tree, and below ORCHGATE_ARTIFACTS. Only what a run wrote counts: what was committed, or left by
the run before, is recognised by being what it was before the run.
"""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runs import benchmark_formats
from orchgate.runs.benchmark_formats import MOST, FormatError
from orchgate.runs.locate import read_file
from orchgate.verdict.values import BENCHMARK, RESULTS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.config.settings import Benchmarks
    from orchgate.runs.benchmark_formats import Times

MAX_BYTES = 64 * 1024 * 1024
MAX_ESTIMATES = 64 * 1024  # bytes of one file of criterion's
MAX_FOLDERS = 100_000
Stamp = tuple[int, int, int, int]


class SearchedFolders(NamedTuple):
    """What is configured, and the folders in which it is looked for."""

    wanted: Benchmarks
    folders: tuple[str, ...]


class BenchmarkResults(NamedTuple):
    """Seconds by metric, and by metric (RESULTS for all of them) why there are none."""

    metrics: Mapping[str, float]
    unread: Mapping[str, str]


class Expected(NamedTuple):
    """Results that a run which is about to begin may write: what is there before it."""

    place: SearchedFolders
    before: Mapping[str, Stamp]

    @property
    def written(self) -> bool:
        """Whether the run has written any so far."""
        return any(self.before.get(path) != stamp for path, stamp in _stamps(self.place).items())

    def results(self) -> BenchmarkResults:
        """The results of the run, which has ended. No errors."""
        wanted, after = self.place.wanted, _stamps(self.place)
        written = [path for path, stamp in after.items() if self.before.get(path) != stamp]
        if not written:
            return _no_results(f"{wanted.file} {'is older than the run' if after else 'was not written'}")
        try:
            times = _read(self.place, written)
        except OrchgateError as error:
            return _no_results(f"{wanted.file} {error.message}")
        return BenchmarkResults(
            {BENCHMARK + name: seconds for name, seconds in times.seconds.items()},
            {BENCHMARK + name: why for name, why in times.failed.items()},
        )


def expected(wanted: Benchmarks, *folders: str) -> Expected:
    """To be called before a run; what counts afterwards is what is there that was not, or is another."""
    place = SearchedFolders(wanted, folders)
    return Expected(place, _stamps(place))


def _stamps(place: SearchedFolders) -> dict[str, Stamp]:
    """Files by path, as far as they can be told apart. To compare them with what they were takes no clock."""
    found = {}
    for path in _paths(place):
        try:
            status = os.stat(path)
        except (OSError, ValueError):
            continue
        found[path] = (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
    return found


def _paths(place: SearchedFolders) -> Iterator[str]:
    for folder in place.folders:
        path = os.path.join(folder, place.wanted.file)
        if place.wanted.format != "criterion":
            yield path
            continue
        for number, (inner, folders, files) in enumerate(os.walk(path)):
            if number > MAX_FOLDERS:
                break
            folders.sort()
            if os.path.basename(inner) == "new" and "estimates.json" in files:
                yield os.path.join(inner, "estimates.json")


def _no_results(why: str) -> BenchmarkResults:
    return BenchmarkResults({}, {RESULTS: why})


def _read(place: SearchedFolders, written: list[str]) -> Times:
    """Raises OrchgateError."""
    if reader := benchmark_formats.READERS.get(place.wanted.format):
        return reader(read_file(written[0], MAX_BYTES))
    return _read_criterion(place, written)


def _read_criterion(place: SearchedFolders, written: list[str]) -> Times:
    """Raises OrchgateError."""
    if len(written) > MOST:
        raise FormatError(f"holds more than {MOST} benchmarks")
    tops = [os.path.join(folder, place.wanted.file) for folder in place.folders]
    top = next(top for top in tops if written[0].startswith(top + os.sep))
    inside = (path for path in written if path.startswith(top + os.sep))
    return benchmark_formats.read_criterion(
        {os.path.relpath(path, top): read_file(path, MAX_ESTIMATES) for path in inside}
    )
