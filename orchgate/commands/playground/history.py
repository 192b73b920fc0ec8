"""The steps of `orchgate try --history`: two machines record runs, and a third asks what all of them add up to."""

from __future__ import annotations

import glob
import json
import os
import random
import re
import sys
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

from orchgate.commands.playground.play import DemoStep
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

    from orchgate.commands.playground.play import Play

LAPTOP, CI, THIRD = "laptop", "ci", "third"
STORE = "history"  # the folder beside them
NEEDED = ("duckdb", "obstore")
REPOSITORY = "example/shop"
TASK = "0001-orders"
METRICS = os.path.join(".runs", TASK, "metrics.json")
CI_CLASS = "c1c1c1c1c1c1c1c1"  # of machines
DAYS = 84
COMMIT_DAYS = 3  # from one commit to the next
RUN = ("orchgate", "run", "tests", "--task", TASK)
SHOW = ("orchgate", "history", "show")
SUBJECT = "Check each order twice"
CULPRIT = 17  # the commit from which on tests take longer, of 28
SLOWER = 1.2
RUNS_A_DAY = {LAPTOP: 1, CI: 3}
NOISE = 0.03
QUESTION = "SELECT stage, median(wall_seconds) FROM stages GROUP BY ALL"
COSTS = ("wall_seconds", "user_seconds", "system_seconds")
CONFIG = """\
[history]
repository = "{repository}"

[[pipelines.tests.stages]]
id = "build"
run = [{python}, "work.py", "5"]
[[pipelines.tests.stages]]
id = "test"
needs = ["build"]
run = [{python}, "work.py", "20"]
"""
WORK = """\
import sys

for _ in range(int(sys.argv[1])):
    print(sum(number * number for number in range(100_000)))
"""


def _start(play: Play) -> None:
    scratch = play.scratch
    play.say(
        f"{LAPTOP}/ is a repository whose {DAYS // COMMIT_DAYS} commits of the last 12 weeks are made up; {CI}/ is "
        "another clone of the same remote. Both have a pipeline, tests, with two stages."
    )
    scratch.run("git", "fast-import", "--quiet", stdin="".join(_commits()).encode())
    play.prepare("git", "reset", "--quiet", "--hard", "main")
    play.prepare("git", "init", "--quiet", "--bare", "--initial-branch=main", _beside(play, "origin.git"))
    play.prepare("git", "remote", "add", "origin", _beside(play, "origin.git"))
    play.prepare("git", "push", "--quiet", "--set-upstream", "origin", "main")
    play.prepare("git", "clone", "--quiet", _beside(play, "origin.git"), _beside(play, CI))
    play.do(("git", "log", "--oneline", "--max-count=3"))


def _commits() -> Iterator[str]:
    """What git fast-import reads."""
    python = json.dumps(sys.executable, ensure_ascii=False)
    files = {
        "orchgate.toml": CONFIG.format(repository=REPOSITORY, python=python),
        "work.py": WORK,
        ".gitignore": "/.runs/\n/out/\n",
    }
    first = datetime.now(UTC) - timedelta(days=DAYS)
    for number in range(DAYS // COMMIT_DAYS):
        subject = SUBJECT if number == CULPRIT else f"Order {number + 1}"
        stamp = f"orchgate try <try@orchgate.invalid> {first.timestamp() + number * COMMIT_DAYS * 86400:.0f} +0000"
        yield f"commit refs/heads/main\nauthor {stamp}\ncommitter {stamp}\ndata <<END\n{subject}\nEND\n"
        for path, text in {**(files if number == 0 else {}), "orders.txt": f"{number + 1}\n"}.items():
            yield f"M 644 inline {path}\ndata {len(text.encode())}\n{text}\n"


def _beside(play: Play, name: str) -> str:
    return os.path.join(os.path.dirname(play.scratch.root), name)


def _record(play: Play) -> None:
    commits = [line.split() for line in _quietly(play, "git", "log", "--reverse", "--format=%H %T").splitlines()]
    for machine in (LAPTOP, CI):
        play.say(f"On {machine}:")
        play.do(RUN, cwd=_beside(play, machine), keep=r"^(?:build|test): succ|^manifest")
        path = os.path.join(_beside(play, machine), METRICS)
        with open(path, encoding="utf-8") as file:
            real = file.read()
        made_up = _made_up(json.loads(real.splitlines()[-1]), machine, commits)
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(json.dumps(entry, separators=(",", ":")) + "\n" for entry in made_up)
            file.write(real)
    per_day = sum(RUNS_A_DAY.values())
    play.say(
        f"A trend takes weeks. So that there is one, {METRICS} of both now also holds runs of the last 12 weeks, "
        f'{per_day} a day, made up after the one above: from the commit "{SUBJECT}" on, the stage test '
        f"takes {SLOWER - 1:.0%} longer."
    )


def _quietly(play: Play, *command: str) -> str:
    return play._replace(seen=False).do(command)


def _made_up(real: Mapping[str, Any], machine: str, commits: list[list[str]]) -> Iterator[Mapping[str, Any]]:
    """Runs such as a real one, of all days but the last."""
    chance = random.Random(machine)  # noqa: S311 -- the same walk each time, no secret
    first = datetime.now(UTC) - timedelta(days=DAYS)
    for number in range((DAYS - 1) * RUNS_A_DAY[machine]):
        at = first + timedelta(days=(number + 0.5) / RUNS_A_DAY[machine])
        place = int((at - first).days // COMMIT_DAYS)
        stages = [_cost(stage, chance, place) for stage in real["stages"]]
        spent = {name: round(sum(stage[name] for stage in stages), 6) for name in COSTS if name in stages[0]}
        yield {
            **real,
            "run_id": f"{at:%Y-%m-%dT%H-%M-%S}-000Z-{chance.getrandbits(32):08x}",
            "started_at": _moment(at),
            "completed_at": _moment(at + timedelta(seconds=spent["wall_seconds"])),
            "commit": commits[place][0],
            "tree": commits[place][1],
            "machine": CI_CLASS if machine == CI else real["machine"],
            **spent,
            "stages": stages,
        }


def _cost(stage: Mapping[str, Any], chance: random.Random, place: int) -> dict[str, Any]:
    factor = chance.lognormvariate(0, NOISE) * (1 if place >= CULPRIT or stage["id"] != "test" else 1 / SLOWER)
    return {**stage, **{name: round(stage[name] * factor, 6) for name in COSTS if name in stage}}


def _moment(at: datetime) -> str:
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


def _is_folder() -> bool:
    """Whether what a folder as a store needs is installed."""
    return all(find_spec(name) for name in NEEDED)


def _history(play: Play, verb: str, machine: str, *words: str, keep: str = "", code: int = 0) -> str:
    """A verb of `orchgate history` on a machine, about the folder where there can be one, else about the remote."""
    there = "" if not _is_folder() else "--to" if verb in ("push", "compact") else "--from"
    command = ("orchgate", "history", verb, *((there, f"../{STORE}") if there else ()), *words)
    return play.do(command, cwd=_beside(play, machine), keep=keep, code=code)


def _push(play: Play) -> None:
    if _is_folder():
        os.mkdir(_beside(play, STORE))
        play.say(f"{STORE}/ stands for a folder that both can write, or a bucket: --to s3://bucket/prefix.")
    else:
        play.say(
            f"{' and '.join(NEEDED)} are not installed, so the runs travel by refs/orchgate/history of the remote, "
            "which needs nothing more. pip install 'orchgate[history]' shows this with a folder as a store."
        )
    for machine in (LAPTOP, CI):
        play.say(f"On {machine}:")
        _history(play, "push", machine)
    play.say("Once more: a run is sent once, however often somebody pushes.")
    _history(play, "push", CI)
    if _is_folder():
        play.say("Parts are Parquet, for each month and class of machines, and never change:")
        folder = os.path.join("..", STORE, "v1", f"repo={REPOSITORY.replace('/', '%2F')}")
        play.do(("ls", folder))


def _fetch(play: Play) -> None:
    play.prepare("git", "clone", "--quiet", _beside(play, "origin.git"), _beside(play, THIRD))
    play.say(f"In {THIRD}/, a clone that never ran anything:")
    _history(play, "fetch", THIRD)
    play.asked((*SHOW, "--by", "pipeline,machine"), r"^\d|pipeline|tests  ", cwd=_beside(play, THIRD))
    play.say("A machine is a class of machines: processor, cores, memory, system. Never a host or a user.")


def _change(play: Play) -> None:
    if not play.seen:
        return
    play.say("Below its table, the same command says what no single run shows:")
    third = _beside(play, THIRD)
    printed = play.asked((*SHOW, "--by", "pipeline,machine"), r"^(?!\d)(?!.*pipeline)(?!  tests  )", cwd=third)
    found = re.search(r"\b(?:by|up to) ([0-9a-f]{7,})", printed)
    if found is None:
        play.say("=> nothing that is sure enough to be told")
        return
    told = play.do(("git", "log", "--oneline", "--max-count=1", found[1]), cwd=third)
    play.say("=> found: from that commit on tests take longer" if SUBJECT in told else "=> found, beside the commit")


def _question(play: Play) -> None:
    if not play.seen:
        return
    if find_spec(NEEDED[0]) is None:
        play.say(f"Left out: {NEEDED[0]}, which answers questions in SQL, is not installed.")
        return
    play.say("Tables are runs, stages, counters and benchmarks, each run once; nothing else can be read:")
    play.asked((*SHOW, "--sql", QUESTION), cwd=_beside(play, THIRD))


def _verify(play: Play) -> None:
    _history(play, "verify", THIRD)
    if not _is_folder():
        return
    part = next(path for path in sorted(glob.glob(_beside(play, f"{STORE}/v1/*/*/*"))) if CI_CLASS not in path)
    os.truncate(part, os.path.getsize(part) // 2)
    play.say("A part loses its second half, on a disk that is full:")
    _history(play, "verify", THIRD, code=1, keep="problem|part")
    play.say("Whoever has its runs puts it right by a push:")
    _history(play, "push", LAPTOP)
    _history(play, "verify", THIRD)


def _compact(play: Play) -> None:
    play.say("CI pushes after each job, so that parts become many. Two jobs more:")
    for _ in range(2):
        play._replace(seen=False).do(RUN, cwd=_beside(play, CI))
        _history(play, "push", CI)
    before = _rows(play)
    _history(play, "compact", THIRD)
    play.say("=> all numbers are as before" if _rows(play) == before else "=> numbers changed: please report this")


def _rows(play: Play) -> object:
    unseen = play._replace(seen=False)
    store = f"../{STORE}" if _is_folder() else "git"
    words = ("--from", store, "--by", "month,pipeline,stage,machine", "--output-format", "json")
    return json.loads(unseen.do((*SHOW, *words), cwd=_beside(play, THIRD)))["rows"]


STEPS = (
    DemoStep("Two machines work on one repository", _start),
    DemoStep("Each records its own runs", _record),
    DemoStep("Both push, and nothing conflicts", _push),
    DemoStep("A third machine sees what all add up to", _fetch),
    DemoStep("What changed, and between which commits?", _change),
    DemoStep("Any other question, in SQL", _question),
    DemoStep("Is every part what it says it is?", _verify),
    DemoStep("Many small parts become few, and every run stays", _compact),
)


def closing(play: Play) -> Iterator[str]:
    yield "The folder is yours to play with; third/ is the clone to ask questions in."
    yield f"  cd {escape(_beside(play, THIRD))}"
    yield "Next, in a repository of your own, after some runs:"
    yield "  orchgate history push --dry-run"
