"""Sets situations up, has them recorded alone or several at once, and puts what is true beside it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import truth_witness
from common import ORCHGATE, commit, environment, git, write
from truth_witness import Counts, Truth, Witness

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from truth_situations import Situation

TASK = "0001-truth"
STOPPED = 1.0  # seconds
STARTING = 0.1  # seconds that a run may take before its first stage and after its last one
# The name in `lower_bounds` of the usage.
BOUNDS = {
    "wall": "wall_seconds",
    "CPU": "cpu_seconds",
    "max RSS": "max_rss_bytes",
    "tree RSS": "tree_rss_bytes",
    "processes": "processes",
    "bytes": "written_bytes",
}


class Figure(NamedTuple):
    """What is recorded, what is true, and whether it was said that it is at least that much."""

    recorded: float | None
    true: float | None
    bound: bool = False
    more: float = 0.0  # by which it may be off in any case

    @property
    def error(self) -> float:
        """A share of what is true; 0 where one of the two is not known."""
        if self.recorded is None or not self.true:
            return 0.0
        return self.recorded / self.true - 1


Figures = dict[str, Figure]


class Bench:
    """Where situations are set up, recorded and measured."""

    def __init__(self, root: Path, program: Path, groups: Path | None) -> None:
        self.root = root
        self.program = program
        self.groups = groups
        self._made = 0
        self._counts: dict[str, Counts | None] = {}
        self._differences: list[tuple[float, float]] = []  # seconds of CPU, share of memory

    def measure(self, one: Situation, number: int) -> Figures:
        """The worst of those that ran at once, figure by figure."""
        if one.name not in self._counts:
            self._counts[one.name] = self._counted(one)
            self._compare(one)
        folders = [self._folder(one) for _ in range(number)]
        try:
            with Witness(folders) as witness:
                found = WAYS[one.way](self, one, folders)
            truths = [witness.truth(folder) for _, folder in found]
            every = [
                figures(record, truth, self._counts[one.name], worked(truths) if record.whole else truth.wall)
                for (record, _), truth in zip(found, truths, strict=True)
            ]
        finally:
            truth_witness.end(folders)
        return {name: max((one[name] for one in every), key=lambda one: abs(one.error)) for name in every[0]}

    def agreement(self) -> Iterator[str]:
        """How far two witnesses are apart who were asked about the same execution."""
        if self._differences:
            seconds, share = (max(column) for column in zip(*self._differences, strict=True))
            number = len(self._differences)
            away = f"{seconds * 1000:.0f} ms of CPU and {share:.1%} of memory"
            yield f"witnesses: /usr/bin/time is at most {away} away ({number} rows)"

    def _folder(self, one: Situation) -> Path:
        self._made += 1
        folder = self.root / f"{self._made}"
        folder.mkdir()
        truth_witness.make_group(self.groups, folder)
        for name, text in one.files.items():
            words = {"b": f"{self.program} burn {folder}", "d": str(folder)}
            (folder / name).write_text(text.format(**words))
        return folder

    def repository(self) -> Path:
        self._made += 1
        root = self.root / f"{self._made}"
        (root / "out").mkdir(parents=True)
        git(root, "init", "--quiet", "--initial-branch=main")
        write(root, ".gitignore", ".runs/\nout/\n")
        return root

    def pipeline(self, one: Situation, folders: Sequence[Path]) -> Path:
        """A repository whose pipeline runs the situation once in each folder, all at once."""
        root = self.repository()
        lines = ["[pipelines.p]", f"max-parallel = {len(folders)}"]
        for number, folder in enumerate(folders):
            settings = {"id": f"s{number}", "run": one.argv(self.program, folder, number), **one.settings}
            lines += ["[[pipelines.p.stages]]", *(f"{key} = {json.dumps(value)}" for key, value in settings.items())]
        write(root, "orchgate.toml", "\n".join(lines) + "\n")
        commit(root, "pipeline")
        return root

    def _counted(self, one: Situation) -> Counts | None:
        folder, root = self._folder(one), self.repository()
        try:
            return truth_witness.counted(one.argv(self.program, folder, 0), root, folder, one.attempts)
        finally:
            truth_witness.end([folder])

    def _compare(self, one: Situation) -> None:
        """Asks /usr/bin/time about an execution outside of orchgate, and the cgroup about the same."""
        time_, folder = shutil.which("time"), self._folder(one)
        if not one.waited or time_ is None:
            return
        with Witness([folder]) as witness:
            argv = [time_, "--format", "%U %S %M", "--output", str(folder / "time"), *one.argv(self.program, folder, 0)]
            subprocess.run(argv, cwd=self.root, stdout=subprocess.DEVNULL, check=False)
        truth = witness.truth(folder)
        truth_witness.end([folder])
        user, system, kilobytes = map(float, (folder / "time").read_text().split()[-3:])
        share = abs(kilobytes * 1024 / truth.rss - 1) if truth.rss and truth.rss > 4 << 20 else 0.0
        self._differences.append((abs(user + system - truth.cpu), share))


def worked(truths: Sequence[Truth]) -> float:
    """Seconds in which any stage of a run was at work, those added in which it was taken up again."""
    seconds = 0.0
    for same in zip(*(truth.attempts for truth in truths), strict=False):
        seconds += max(end for _, end in same) - min(began for began, _ in same)
    return seconds


def figures(record: Record, truth: Truth, strace: Counts | None, wall: float) -> Figures:
    usage, bounds = record.usage, record.bounds
    cpu = usage["user_seconds"] + usage["system_seconds"] if usage else None
    found = {
        "wall": Figure(record.wall, wall - record.away, BOUNDS["wall"] in bounds, STARTING if record.whole else 0.0),
        "CPU": Figure(cpu, truth.cpu, BOUNDS["CPU"] in bounds),
        "max RSS": Figure(usage.get("max_rss_bytes"), truth.rss, BOUNDS["max RSS"] in bounds),
        "tree RSS": Figure(usage.get("tree_rss_bytes", record.tree), truth.tree, BOUNDS["tree RSS"] in bounds),
    }
    if truth.written > 1 << 20:
        found["bytes"] = Figure(usage.get("written_bytes"), truth.written, BOUNDS["bytes"] in bounds)
    elif strace and record.files is not None and strace.written:
        found["writes"] = Figure(record.files["written"], strace.written, record.at_least)
        if strace.renamed:
            found["renames"] = Figure(record.files["renamed"], strace.renamed, record.at_least)
    elif strace and usage.get("processes") is not None:
        found["processes"] = Figure(usage["processes"], strace.processes, BOUNDS["processes"] in bounds)
    return found


class Record(NamedTuple):
    """What orchgate recorded of a stage. `wall` is the run's where it did not go straight; `away` what was no work."""

    usage: Mapping[str, Any]
    wall: float | None
    away: float = 0.0
    tree: int | None = None
    files: Mapping[str, int] | None = None
    at_least: bool = False
    of_run: Mapping[str, str] = {}  # what is a lower bound of the whole run
    whole: bool = False

    @property
    def bounds(self) -> Mapping[str, str]:
        return {**self.of_run, **(self.usage.get("lower_bounds") or {})}


Found = list[tuple[Record, Path]]


def _run(bench: Bench, one: Situation, folders: Sequence[Path]) -> Found:
    """Alone it is measured, so that processes are counted; several are the stages of one pipeline, side by side."""
    root = bench.pipeline(one, folders)
    alone = ["--measure"] if len(folders) == 1 else []
    subprocess.run([*RUN, *alone], cwd=root, env=environment(), capture_output=True, check=False)
    stages = manifest(root)["commands"]
    usages = [stage["usage"] or {} for stage in stages]
    return [(Record(usage, usage.get("wall_seconds")), folder) for usage, folder in zip(usages, folders, strict=True)]


RUN = [ORCHGATE, "run", "p", "--task", TASK]


def manifest(root: Path) -> dict[str, Any]:
    (folder,) = (root / ".runs" / TASK / "cli").iterdir()
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def _observe(bench: Bench, one: Situation, folders: Sequence[Path]) -> Found:
    roots = [bench.repository() for _ in folders]
    observed = [ORCHGATE, "observe", "--task", TASK, "--watch", "out", "--"]
    started = [
        subprocess.Popen(
            [*observed, *one.argv(bench.program, folder, number)],
            cwd=root,
            env=environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for number, (root, folder) in enumerate(zip(roots, folders, strict=True))
    ]
    for child in started:
        child.wait()
    return [(_observed(root), folder) for root, folder in zip(roots, folders, strict=True)]


def _observed(root: Path) -> Record:
    stage = manifest(root)["commands"][0]
    (path,) = root.glob(".runs/*/cli/*/artifacts/activity.json")
    activity = json.loads(path.read_text())
    usage = stage["usage"] or {}
    tree = stage.get("metrics", {}).get("tree_max_rss_bytes")
    least = bool(activity.get("lower_bound") or activity.get("lost"))
    return Record(usage, usage.get("wall_seconds"), 0.0, tree, activity["totals"], least)


def _resume(bench: Bench, one: Situation, folders: Sequence[Path]) -> Found:
    root = bench.pipeline(one, folders)
    child = _started(root, folders)
    time.sleep(0.5)
    child.kill()
    child.wait()
    time.sleep(STOPPED)
    run = manifest(root)["run_id"]
    subprocess.run([ORCHGATE, "resume", run], cwd=root, env=environment(), capture_output=True, check=False)
    return _whole(root, folders, 0.0)


def _stop(bench: Bench, one: Situation, folders: Sequence[Path], *, everything: bool = True) -> Found:
    """Stops the runner and all that it runs, or as Ctrl-Z does the runner alone, which is to see to the rest."""
    root = bench.pipeline(one, folders)
    child = _started(root, folders)
    time.sleep(0.5)
    stages = [pid for folder in folders for pid in truth_witness.processes(folder)]
    pids = [child.pid, *(stages if everything else ())]
    began = time.monotonic()
    for pid in pids:
        os.kill(pid, signal.SIGSTOP if everything else signal.SIGTSTP)
    time.sleep(STOPPED)
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    away = time.monotonic() - began
    child.wait()
    return _whole(root, folders, away)


def _suspend(bench: Bench, one: Situation, folders: Sequence[Path]) -> Found:
    return _stop(bench, one, folders, everything=False)


def _started(root: Path, folders: Sequence[Path]) -> subprocess.Popen[bytes]:
    """A run all of whose stages have begun."""
    child = subprocess.Popen(RUN, cwd=root, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while child.poll() is None and not all((folder / "began").exists() for folder in folders):
        time.sleep(0.005)
    return child


def _whole(root: Path, folders: Sequence[Path], away: float) -> Found:
    """The stages of a run that did not go straight, with its own wall time."""
    document = manifest(root)
    whole = document["usage"] or {}
    wall, bounds = whole.get("wall_seconds"), whole.get("lower_bounds") or {}
    return [
        (Record(stage["usage"] or {}, wall, away, of_run=bounds, whole=True), folder)
        for stage, folder in zip(document["commands"], folders, strict=True)
    ]


WAYS = {"run": _run, "observe": _observe, "resume": _resume, "stop": _stop, "suspend": _suspend}
