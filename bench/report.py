"""`orchgate report` of 500 runs: its time and its size. `python bench/report.py FOLDER [N]` makes such a repository."""

from __future__ import annotations

import hashlib
import json
import random
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from common import ORCHGATE, Row, commit, cost, git, main, scratch, write

from orchgate.evidence import lock as locks
from orchgate.evidence.facts import facts_of
from orchgate.evidence.lock import Pinned
from orchgate.runner.writer import encode_entry, entry_of
from orchgate.runs import journal, state
from orchgate.runs.run import from_manifest
from orchgate.verdict import baseline
from orchgate.verdict.baseline import Baseline, BaselineRecord

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

RUNS = 500
LIMIT_SECONDS = 1.5
LIMIT_BYTES = 300_000
MACHINE = "794f3ab6db7579f7"
MACHINE_FACTS = {
    "fingerprint": MACHINE,
    "cpu_model": "AMD EPYC",
    "cores": 2.0,
    "memory_class": "8GiB",
    "kernel": "6.18",
    "python": "3.11.7",
    "container": None,
}
TASKS = ("0041-faster-start", "0042-streamed-import", "0043-lean-cache")
FIRST = 1_764_000_000  # seconds since the epoch, of the first run
APART = 2 * 3600.0
CONFIG = """\
[documents]
required = ["prd", "checklist"]
required-sections.prd = ["Goals"]
required-sections.checklist = []
[performance]
pipeline = "diagnostics"
[[pipelines.diagnostics.stages]]
id = "tests"
run = ["true"]
"""
PRD = "# PRD - {title}\n\n- Status: In progress\n\n## Goals\n\nThe start takes at most 0.4 s.\n"
CHECKLIST = "# Tasks - {task}\n\n- [x] Measured before. Evidence: `{manifest}`\n- [x] Profiled\n- [ ] Measured after\n"


class Stage(NamedTuple):
    id: str
    seconds: float
    needs: tuple[int, ...] = ()


DIAGNOSTICS = (
    Stage("install", 0.9),
    Stage("lint", 1.4, (1,)),
    Stage("types", 2.1, (1,)),
    Stage("tests", 4.2, (1,)),
    Stage("package", 0.8, (2, 3, 4)),
    Stage("smoke", 0.5, (5,)),
)
BENCH = (Stage("build", 0.8), Stage("bench", 2.0, (1,)))


class Shape(NamedTuple):
    """How runs are spread. `every`: each such run is one of another pipeline."""

    name: str
    tasks: tuple[str, ...]
    every: int
    runs: int = RUNS


SHAPES = (
    Shape("runs of 3 tasks, 2 pipelines", TASKS, 4),
    Shape("runs of 1 task, 1 pipeline", TASKS[:1], 0),
    Shape("runs of 10 tasks, 2 pipelines", tuple(f"{n:04}-a-usual-name" for n in range(1, 11)), 2),
    Shape("runs of 10 tasks, 2 pipelines", tuple(f"{n:04}-a-usual-name" for n in range(1, 11)), 2, 10 * RUNS),
)


def rows() -> Iterator[Row]:
    for shape in SHAPES:
        with scratch() as root:
            fill(root, shape)
            spent = cost([ORCHGATE, "report"], root, times=5)
            page = (root / "orchgate-report.html").read_bytes()
        many = shape.runs > RUNS
        limit = LIMIT_SECONDS * 2 if many else LIMIT_SECONDS
        what = f"{shape.runs:,} {shape.name}"
        figure = f"{spent.wall:.2f} s ({spent.cpu:.2f} s of CPU)"
        yield Row(f"report of {what}", figure, f"{limit} s", spent.wall <= limit)
        linked = len(set(re.findall(rb'<a href="#(r[^"]+)"><title>', page)))
        size = f"{len(page) / 1000:.0f} KB, {linked} points"
        yield Row(f"page of {what}", size, f"{LIMIT_BYTES / 1000:.0f} KB", len(page) <= LIMIT_BYTES)


def fill(root: Path, shape: Shape = SHAPES[0]) -> None:
    """Runs, with a baseline, pins, packets and a measurement by pairs."""
    chance = random.Random(15)  # the same page every time
    write(root, "orchgate.toml", CONFIG)
    write(root, ".gitignore", "/.runs/\n/out/\n/orchgate-report.html\n")
    git(root, "add", "--all")
    commit(root, "Start")
    runs(root, shape, chance)
    _baseline(root, shape.tasks[len(shape.tasks) // 2])
    _packets(root, shape.tasks)
    _measurement(root, chance)
    git(root, "add", "--all")
    commit(root, "Packets, baseline and pins")


def runs(root: Path, shape: Shape, chance: random.Random) -> None:
    """Only what runs leave behind."""
    for number in range(shape.runs):
        task = shape.tasks[number * len(shape.tasks) // shape.runs]
        bench = bool(shape.every) and number % shape.every == shape.every - 1
        _run(root, task, number, chance, bench=bench, share=number / shape.runs)


def _run(root: Path, task: str, number: int, chance: random.Random, *, bench: bool, share: float) -> None:
    """The files that a run leaves, made from its journal as the runner makes them; `share` of the runs came before."""
    started = FIRST + number * APART
    run_id = time.strftime("%Y-%m-%dT%H-%M-%S-", time.gmtime(started)) + f"000Z-{number:08x}"
    slower = 1 + 0.12 * (share > 0.8) - 0.1 * (share > 0.45)
    events = list(_events(task, run_id, started, bench=bench, slower=slower, chance=chance))
    document = state.manifest(events)
    folder = root / ".runs" / task / "cli" / run_id
    (folder / "stages").mkdir(parents=True)
    for stage in document["commands"]:
        (folder / stage["log_path"]).touch()
    (folder / "events.jsonl").write_bytes(b"".join(journal.encode(event) + b"\n" for event in events))
    (folder / "manifest.json").write_bytes(state.render(document))
    with (root / ".runs" / task / "metrics.json").open("ab") as file:
        file.write(encode_entry(entry_of(from_manifest(document))) + b"\n")


def _at(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds * 1000) % 1000:03d}Z"


def _events(
    task: str, run_id: str, started: float, *, bench: bool, slower: float, chance: random.Random
) -> Iterator[dict[str, Any]]:
    stages = BENCH if bench else DIAGNOSTICS
    fails = chance.random() < 0.06
    yield {
        "event": "run",
        "at": _at(started),
        "task_id": task,
        "run_id": run_id,
        "parent_run_id": None,
        "pipeline": {"id": "bench" if bench else "diagnostics", "title": "Checks", "digest": "0" * 64, "slots": 2},
        "stages": [
            {"id": one.id, "title": one.id, "command": one.id, "kind": "command", "argv": [one.id]}
            | ({"needs": list(one.needs)} if one.needs else {})
            for one in stages
        ],
        "detail": None,
        "journal": 1,
        "runner": "orchgate 0.1.0",
        "process": {"pid": 1, "start_ticks": 1, "boot_id": "x", "pid_namespace": "x"},
        "git": None,
        "machine": MACHINE_FACTS,
        "observed_by": None,
    }
    yield from _stages(stages, started, fails=fails, slower=slower, chance=chance)


def _stages(
    stages: tuple[Stage, ...], started: float, *, fails: bool, slower: float, chance: random.Random
) -> Iterator[dict[str, Any]]:
    """Two at a time, so that some wait."""
    free, ends = [started + 0.05, started + 0.05], {0: started + 0.05}
    events: list[tuple[float, dict[str, Any]]] = []
    for number, stage in enumerate(stages, 1):
        slot = min((0, 1), key=free.__getitem__)
        begin = max(free[slot], *(ends[need] for need in stage.needs or (0,))) + 0.004
        seconds = stage.seconds * slower * chance.lognormvariate(0, 0.04)
        free[slot] = ends[number] = begin + seconds
        last = number == len(stages)
        status = "failed" if fails and last else "succeeded"
        named = {"stage": number, "attempt": 1}
        events.append((begin, {"event": "start", **named, "log_path": f"stages/{number:02d}-{stage.id}.log"}))
        usage = {
            "wall_seconds": round(seconds, 6),
            "user_seconds": round(seconds * 0.8, 6),
            "system_seconds": round(seconds * 0.07, 6),
            "max_rss_bytes": int(stage.seconds * 40e6 * chance.lognormvariate(0, 0.01)),
            "read_bytes": 0,
            "written_bytes": int(seconds * 2e5),
            "processes": 3,
            "complete": True,
        }
        end: dict[str, Any] = {
            "event": "end",
            **named,
            "status": status,
            "exit_code": int(status == "failed"),
            "summary": None,
        }
        end |= {"detail": None, "usage": usage, "output_bytes": 0, "output_left_out_bytes": 0}
        if stage.id == "tests":
            end["tests"] = {"passed": 412, "failed": 0, "skipped": 3, "errors": 0, "source": "pytest"}
        events.append((begin + seconds, end))
    for at, event in sorted(events, key=lambda one: one[0]):
        yield {**event, "at": _at(at)}
    detail = f"stage:{stages[-1].id}:failed" if fails else None
    writes = {"manifest_writes": 2, "journal_writes": 2 + 2 * len(stages), "files": 6, "bytes": 11200}
    status = "failed" if fails else "succeeded"
    over = {
        "event": "finish",
        "at": _at(max(free)),
        "status": status,
        "detail": detail,
        "summary": "",
        "writes": writes,
    }
    yield over


def _baseline(root: Path, task: str) -> None:
    entries = [json.loads(line) for line in (root / ".runs" / task / "metrics.json").read_bytes().splitlines()]
    runs = [one for one in entries if one["pipeline_id"] == "diagnostics" and one["status"] == "succeeded"][-24:-12]
    samples = {
        "wall_seconds": tuple(one["wall_seconds"] for one in runs),
        "cpu_seconds": tuple(round(one["user_seconds"] + one["system_seconds"], 6) for one in runs),
        "max_rss_bytes": tuple(one["max_rss_bytes"] for one in runs),
    }
    record = BaselineRecord(
        "diagnostics",
        MACHINE,
        "0" * 64,
        "a" * 40,
        "b" * 40,
        dirty=False,
        recorded_at=runs[-1]["completed_at"][:19] + "Z",
        recorded_by="Ada",
        reason="after the streamed import",
        machine={"cores": 2},
        samples=samples,
        run_ids=tuple(one["run_id"] for one in runs),
    )
    write(root, baseline.PATH, baseline.render(Baseline().put(record)).decode())


def _packets(root: Path, tasks: Iterable[str]) -> None:
    pins = []
    for task in tasks:
        runs = sorted((root / ".runs" / task / "cli").iterdir())
        for number, run in enumerate((*runs[:6], *runs[-6:])):
            path = f".runs/{task}/cli/{run.name}/manifest.json"
            data = (root / path).read_bytes()
            digest = hashlib.sha256(data).hexdigest() if number != 4 else "f" * 64
            pins.append(Pinned(path, digest, len(data), facts_of(from_manifest(json.loads(data)))))
        cited = f".runs/{task}/cli/{runs[0].name}/manifest.json"
        title = task.partition("-")[2].replace("-", " ")
        write(root, f"docs/PRD-{task.partition('-')[2]}.md", PRD.format(title=title))
        write(root, f"tasks/tasks-{task}.md", CHECKLIST.format(task=task, manifest=cited))
    write(root, locks.PATH, locks.render(pins).decode())


def _measurement(root: Path, chance: random.Random) -> None:
    lines = []
    for pair in range(32):
        for order, arm in enumerate(("base", "head") if pair % 2 else ("head", "base")):
            usual = 0.412 * (1.07 if arm == "head" else 1.0) * chance.lognormvariate(0, 0.02)
            metrics = {"cpu_seconds": usual, "wall_seconds": usual * 1.1 * chance.lognormvariate(0, 0.03)}
            metrics |= {"max_rss_bytes": int(52e6 * chance.lognormvariate(0, 0.003)), "processes": 3}
            line = {"stream": "diagnostics", "pair": pair, "arm": arm, "order": order, "metrics": metrics}
            lines.append(json.dumps(line | {"commit": ("a" if arm == "base" else "b") * 40}))
    path = root / ".git" / "orchgate" / "perf" / "2026-01-06T09-26-22-129Z-c2f9cb47.jsonl"
    path.parent.mkdir(parents=True)
    path.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        made = Path(sys.argv[1])
        made.mkdir(parents=True)
        git(made, "init", "--quiet", "--initial-branch=main")
        fill(made, SHAPES[int(sys.argv[2]) if len(sys.argv) > 2 else 0])
    else:
        main(rows)
