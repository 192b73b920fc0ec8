"""The file in which a run leaves the results of its benchmarks: whether this run wrote it, and what it says.

It is looked for in the tree, and below ORCHGATE_ARTIFACTS. Only what a run wrote counts: what was committed, or left by
the run before, is recognised by being what it was before the run. A measurement asks for the results of a whole run;
a recorded run is told, stage by stage, which benchmarks it is to record.
"""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.result_files import benchmark_formats
from orchgate.result_files.benchmark_formats import MOST, FormatError
from orchgate.runs.locate import read_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orchgate.config.settings import Benchmarks
    from orchgate.result_files.benchmark_formats import Times

MAX_BYTES = 64 * 1024 * 1024
MAX_ESTIMATES = 64 * 1024  # bytes of one file of criterion's
MAX_FOLDERS = 100_000
MOST_RECORDED = 500  # benchmarks of one run
LONGEST_RECORDED = 300  # characters of a name
_MOST_PROBLEMS = 5
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

    def times(self) -> Times:
        """What the run wrote. Raises FormatError, whose message begins with the file."""
        wanted, after = self.place.wanted, _stamps(self.place)
        written = [path for path, stamp in after.items() if self.before.get(path) != stamp]
        if not written:
            raise FormatError(f"{wanted.file} {'is older than the run' if after else 'was not written'}")
        try:
            return _read(self.place, written)
        except OrchgateError as error:
            raise FormatError(f"{wanted.file} {error.message}") from error

    def results(self) -> BenchmarkResults:
        """The results of the run, which has ended. No errors."""
        from orchgate.verdict.values import BENCHMARK, RESULTS

        try:
            times = self.times()
        except FormatError as error:
            return BenchmarkResults({}, {RESULTS: error.message})
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


def _read(place: SearchedFolders, written: list[str]) -> Times:
    """Raises OrchgateError."""
    if reader := benchmark_formats.READERS.get(place.wanted.format):
        # The last is below ORCHGATE_ARTIFACTS, if any is: nobody but this run writes there.
        return reader(read_file(written[-1], MAX_BYTES))
    return _read_criterion(place, written)


def _read_criterion(place: SearchedFolders, written: list[str]) -> Times:
    """Raises OrchgateError."""
    if len(written) > MOST:
        raise FormatError(f"holds more than {MOST} benchmarks")
    tops = [os.path.join(folder, place.wanted.file) for folder in place.folders]
    top = next(top for top in reversed(tops) if written[-1].startswith(top + os.sep))
    inside = (path for path in written if path.startswith(top + os.sep))
    return benchmark_formats.read_criterion(
        {os.path.relpath(path, top): read_file(path, MAX_ESTIMATES) for path in inside}
    )


class RecordedBenchmarks(NamedTuple):
    """What a run is to record: seconds by name, whether one stage alone measured them, and what is not recorded."""

    seconds: Mapping[str, float]
    of_stage: bool
    problems: tuple[str, ...]

    def beside(self, own: Mapping[str, float]) -> dict[str, float]:
        """These, and those that the stage named among its own results, which come first."""
        return dict(list({**own, **self.seconds, **own}.items())[:MOST_RECORDED])


class BenchmarkWatch:
    """Sees what the stages of recorded runs write. It looks when none is running, so that no file is half written."""

    def __init__(self, wanted: Benchmarks, root: str) -> None:
        self._wanted = wanted
        self._root = root
        self._expected = Expected(SearchedFolders(wanted, ()), {})  # since the last look
        self._running = 0
        self._ran: set[tuple[str, int]] = set()  # since then, by the folder of their run
        self._recorded: dict[str, set[tuple[int, str]]] = {}  # benchmarks by stage and name, by run

    def begin(self, folder: str, stage: int) -> None:
        """A stage of the run in a folder is about to start a program."""
        if not self._running:
            self._ran.clear()
            self._expected = expected(self._wanted, self._root)
        artifacts = os.path.join(folder, "artifacts")
        place, before = self._expected
        if artifacts not in place.folders:
            found = expected(self._wanted, artifacts)
            place = place._replace(folders=(*place.folders, artifacts))
            self._expected = Expected(place, {**before, **found.before})
        self._ran.add((folder, stage))
        self._running += 1

    def end(self, folder: str) -> RecordedBenchmarks | None:
        """A program of a stage has ended; None where there is nothing to say. No errors."""
        self._running -= 1
        if self._running or not self._expected.written:
            return None
        if len({run for run, _ in self._ran}) > 1:
            why = f"{self._wanted.file} was written while stages of several runs ran: not recorded"
            return RecordedBenchmarks({}, of_stage=False, problems=(why,))
        try:
            times = self._expected.times()
        except FormatError as error:
            return RecordedBenchmarks({}, of_stage=False, problems=(f"{error.message}: not recorded",))
        stage = next(iter(self._ran))[1] if len(self._ran) == 1 else 0
        known = self._recorded.setdefault(folder, set())
        others = known - {(stage, name) for name in times.seconds}  # an attempt before this one may have measured it
        seconds, problems = recordable(times, MOST_RECORDED - len(others))
        known |= {(stage, name) for name in seconds}
        named = (f"{self._wanted.file}: {problem}" for problem in problems)
        return RecordedBenchmarks(seconds, of_stage=bool(stage), problems=tuple(named))


def recordable(times: Times, most: int) -> tuple[dict[str, float], list[str]]:
    """What of some results is recorded, the first by name, and why the rest is not."""
    from orchgate.secrets.redact import redacted

    found: dict[str, float] = {}
    problems = [f"{redacted(name)}: {why}" for name, why in times.failed.items()]
    for name in sorted(times.seconds):
        shown = redacted(name)  # a command may be the name of one
        if len(shown) > LONGEST_RECORDED:
            problems.append(f"{shown[:60]}…: the name has {len(shown)} characters, {LONGEST_RECORDED} are recorded")
        else:
            found.setdefault(shown, times.seconds[name])
    if len(problems) > _MOST_PROBLEMS:
        problems[_MOST_PROBLEMS:] = [f"and {len(problems) - _MOST_PROBLEMS} more of this kind"]
    if len(found) > most:
        problems.insert(0, f"of {len(found)} benchmarks the first {most} by name are recorded")
    return dict(list(found.items())[:most]), problems
