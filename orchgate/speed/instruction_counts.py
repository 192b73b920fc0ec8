"""Runs of both sides under cachegrind, which counts their instructions: what time leaves open, they decide.

https://valgrind.org/docs/manual/cg-manual.html
"""

from __future__ import annotations

import contextlib
import os
import re

from orchgate.errors import OrchgateError
from orchgate.git import worktree_cache
from orchgate.lib import files, working_time
from orchgate.lib.files import open_regular
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs import ids
from orchgate.speed import sampling
from orchgate.speed.measurements import Stopped, median
from orchgate.speed.sampling import OutOfTime
from orchgate.verdict import comparison
from orchgate.verdict.comparison import INSTRUCTION_RUNS, Instructions

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.runs.stages import Stage
    from orchgate.speed.measurements import Measurement
    from orchgate.speed.sampling import Harness, MeasuredRun, Side
    from orchgate.verdict.values import Policy

LONGEST = 1.0  # seconds of CPU time of a run: under cachegrind it takes up to fifty times as many
_MOST_SECONDS = 240.0  # for all of it, what was measured before included: servers drop connections that are idle
LEAST_SECONDS = 60.0
_FOLDER = "instructions"
_TAIL = 4096  # bytes; the sum is on the last line
_MOST_OUTPUT = 1024 * 1024  # bytes of a stage's output, among which cachegrind says what it watches
_SUM = re.compile(rb"^summary: ([0-9]{1,18})\s*\Z", re.MULTILINE)
_WATCHED = re.compile(rb"^==[0-9]+== Cachegrind, ", re.MULTILINE)
# `command-line-only`: options that lie in the tree, or in the environment, could leave a part of it uncounted.
_OPTIONS = ("--command-line-only=yes", "--vgdb=no", "--tool=cachegrind", "--cache-sim=no", "--trace-children=yes")


class NotCounted(Exception):
    """The instructions cannot be counted, or not so that they mean something; `args[0]` says why."""


def decided(harness: Harness, sides: tuple[Side, Side], policy: Policy, measurement: Measurement) -> Measurement:
    """A measurement whose CPU time is open, decided by instructions where they can be counted.

    Where they cannot, a note says why, and the verdict stays what it is. Raises KeyboardInterrupt.
    """
    if measurement.stopped in (Stopped.FAILED, Stopped.GROSS, Stopped.UNSTEADY) or not comparison.needs_instructions(
        measurement.judgement
    ):
        return measurement
    seconds = max(LEAST_SECONDS, _MOST_SECONDS - measurement.seconds)
    try:
        found = _counted(harness, sides, measurement, working_time.now() + seconds)
    except NotCounted as error:
        return _without(measurement, str(error))
    except OutOfTime:
        return _without(measurement, f"{2 * INSTRUCTION_RUNS} runs under valgrind take more than {seconds:.0f} s")
    except OrchgateError as error:  # a full disk does not take away what was measured
        return _without(measurement, error.message)
    judgement = comparison.with_instructions(measurement.judgement, found, policy)
    return measurement._replace(judgement=judgement, instructions=found)


def _without(measurement: Measurement, why: str) -> Measurement:
    return measurement._replace(notes=(*measurement.notes, f"instructions were not counted: {why}"))


def _counted(harness: Harness, sides: tuple[Side, Side], measurement: Measurement, deadline: float) -> Instructions:
    """Raises NotCounted, OutOfTime."""
    prefix = _prefix(harness.environ)
    _check(harness, sides, measurement)
    counts: dict[str, list[int]] = {side.label: [] for side in sides}
    for _ in range(INSTRUCTION_RUNS):
        for side in sides:
            counts[side.label].append(_run(harness, side, prefix, deadline))
    found = {label: comparison.agreed_count(known) for label, known in counts.items()}
    for label, count in found.items():
        if not count:
            known = " and ".join(f"{one:,}" for one in counts[label])
            raise NotCounted(f"two runs of {label} differ: {known}")
    return Instructions(found["base"] or 0, found["head"] or 0)


def _prefix(environ: Mapping[str, str]) -> tuple[str, ...]:
    """What comes before a command that is counted. Raises NotCounted."""
    import shutil

    valgrind, setarch = (shutil.which(name, path=environ.get("PATH")) for name in ("valgrind", "setarch"))
    if valgrind is None:
        raise NotCounted("valgrind is not installed")
    # Where a program lies in memory decides how its tables of pointers are walked.
    still = (os.path.abspath(setarch), os.uname().machine, "-R") if setarch else ()
    return (*still, os.path.abspath(valgrind), *_OPTIONS)


def _check(harness: Harness, sides: tuple[Side, Side], measurement: Measurement) -> None:
    """Raises NotCounted where it is known already that counting would be in vain."""
    samples = measurement.samples or ((measurement.warm_up,) if measurement.warm_up else ())
    if not samples:
        raise NotCounted("base and head have not run")
    for at, side in enumerate(sides):
        runs = [pair[at] for pair in samples]
        taken = median(list(_values(runs, "cpu_seconds"))) or 0.0
        if taken > LONGEST:
            raise NotCounted(f"a run of {side.label} takes {taken:.1f} s of CPU time, more than {LONGEST:g} s")
        judged = sum(harness.judged is None or stage.id in harness.judged for stage in side.stages)
        if max(_values(runs, "processes"), default=0.0) > judged:
            raise NotCounted(f"{side.label} starts further processes")


def _values(runs: Sequence[MeasuredRun], name: str) -> Iterator[float]:
    return (run.metrics[name] for run in runs if name in run.metrics)


def _run(harness: Harness, side: Side, prefix: Sequence[str], deadline: float) -> int:
    """The instructions of one run's judged stages. Raises NotCounted, OutOfTime."""
    folder = os.path.join(side.scratch, _FOLDER)
    worktree_cache.erase(folder)
    files.make_folders(folder)
    judged = [harness.judged is None or stage.id in harness.judged for stage in side.stages]
    stages = [
        _watched(stage, (*prefix, f"--cachegrind-out-file={folder}/{index}.%p")) if counts else stage
        for index, (stage, counts) in enumerate(zip(side.stages, judged, strict=True), 1)
    ]
    try:
        ran = sampling.once(harness, side._replace(stages=tuple(stages)), deadline)
        if ran.failure:
            failure = ran.failure  # whose last line is valgrind's own
            raise NotCounted(f"stage {failure.stage} of {side.label} fails under valgrind ({failure.detail})")
        numbers = [index for index, counts in enumerate(judged, 1) if counts]
        for index in numbers:
            _alone(side, side.stages[index - 1], index)
        return sum(_sum(folder, side, index) for index in numbers)
    finally:
        worktree_cache.erase(folder)


def _watched(stage: Stage, prefix: tuple[str, ...]) -> Stage:
    command = stage.argv or ("/bin/sh", "-c", stage.shell)
    return stage._replace(argv=(*prefix, *command), shell="", timeout_seconds=None, retries=0)


def _alone(side: Side, stage: Stage, index: int) -> None:
    """Raises NotCounted unless one program was watched: what a process did before it became another is lost."""
    try:
        with open(os.path.join(side.scratch, ids.log_path(index, stage.id)), "rb") as file:
            output = file.read(_MOST_OUTPUT + 1)
    except OSError as error:
        raise NotCounted(f"the output of {side.label} cannot be read: {error.strerror}") from error
    if len(output) > _MOST_OUTPUT:
        raise NotCounted(f"{side.label} prints more than {_MOST_OUTPUT >> 20} MiB")
    if len(_WATCHED.findall(output)) != 1:
        raise NotCounted(f"{side.label} starts further programs")


def _sum(folder: str, side: Side, index: int) -> int:
    """What cachegrind has written of a stage's one process. Raises NotCounted."""
    names = [name for name in os.listdir(folder) if name.startswith(f"{index}.")]
    if len(names) > 1:
        raise NotCounted(f"{side.label} starts further processes")
    found = _SUM.search(_tail(os.path.join(folder, names[0]))) if names else None
    count = int(found[1]) if found else 0
    if not count:
        raise NotCounted(f"valgrind cannot run {side.label}: it has left no count")
    return count


def _tail(path: str) -> bytes:
    """The end of a regular file; nothing of any other."""
    with contextlib.suppress(OSError):
        descriptor = open_regular(path, follow=False)
        try:
            return os.pread(descriptor, _TAIL, max(0, os.fstat(descriptor).st_size - _TAIL))
        finally:
            os.close(descriptor)
    return b""
