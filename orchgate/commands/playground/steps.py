"""The steps of `orchgate try`, in their order."""

from __future__ import annotations

import json  # its strings are TOML's
import os
import re
import sys
import tempfile

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchgate.commands.playground.play import Play

SLUG = "faster"
TASK = f"0001-{SLUG}"
CHECKLIST = f"tasks/tasks-{TASK}.md"
PLAN = f"docs/ACTION_PLAN-{SLUG}.md"
PIPELINE = "demo"
PROGRAM = "work.py"
MANIFEST = f".runs/{TASK}/cli/2026-01-01T00-00-00-000Z-00000000/manifest.json"  # of a run that never was
RUN = ("orchgate", "run", PIPELINE, "--task", TASK)
CONFIG = """
[pipelines.{pipeline}]
title = "What the playground does"
[[pipelines.{pipeline}.stages]]
id = "work"
run = [{python}, "{program}"]

[performance]                  # measured before a push that touches the program
pipeline = "{pipeline}"
paths = ["{program}"]
"""
WORK = """\
ROUNDS = {rounds}

for _ in range(ROUNDS):
    total = sum(number * number for number in range(600_000))
print(total)
"""
REASON = "Performance-Override: all three rounds are needed"
REMOTE = os.path.join(".git", "try-remote.git")  # out of the way, and gone with the folder
PUSH = ("git", "push", "-q", "origin", "main")
_COMMENT_ALONE = lazy(r"(?m)(^## [^\n]+\n)\s*<!--[^>]*-->\n(?=\n|\Z)")  # below a heading, and nothing else
_WALL_TIME = lazy(r"(\| wall time +\| +[^|]+\| +)[0-9.]+ s")
_SLOWER = lazy(r"(?m)^fail: (?:CPU|wall) time\b")
_UNDECIDED = lazy(r"(?m)^inconclusive: ")


class DemoStep(NamedTuple):
    """One thing that is shown: its title, and what does it; `slow`: it measures, or needs a push that was measured."""

    title: str
    act: Callable[[Play], None]
    slow: bool = False


def _start(play: Play) -> None:
    scratch = play.scratch
    scratch.write("README.md", "# Playground\n\nMade by `orchgate try`.\n")
    scratch.write(PROGRAM, WORK.format(rounds=3))
    play.do(("orchgate", "init", "--native"))
    python = json.dumps(sys.executable, ensure_ascii=False)
    scratch.append("orchgate.toml", CONFIG.format(pipeline=PIPELINE, python=python, program=PROGRAM))
    play.say(f"orchgate.toml also names a pipeline now, {PIPELINE}: it runs {PROGRAM}.")
    play.commit("Start")
    remote = os.path.join(scratch.root, REMOTE)
    play.prepare("git", "init", "--quiet", "--bare", "--initial-branch=main", remote)
    play.prepare("git", "remote", "add", "origin", remote)
    play.prepare("git", "push", "--quiet", "--no-verify", "--set-upstream", "origin", "main")


def _plan(play: Play) -> None:
    play.do(("orchgate", "new", SLUG))
    play.commit("Plan a task")


def _claim(play: Play) -> None:
    scratch = play.scratch
    for path in (f"docs/PRD-{SLUG}.md", f"docs/TECH_SPEC-{SLUG}.md", PLAN):
        scratch.write(path, _COMMENT_ALONE.sub(r"\1\nLittle is needed in a playground.\n", scratch.read(path)))
    scratch.append(CHECKLIST, f"- [x] Time measured before the change. Evidence: `{MANIFEST}`\n")
    play.say("The sections are filled in. The checklist ticks an item whose run never happened.")
    play.commit("Claim a measurement", lands=False)


def _measure(play: Play) -> None:
    manifest = _recorded(play.do(RUN))
    play.scratch.replace(CHECKLIST, MANIFEST, manifest)
    play.say("The item now names that manifest.")
    play.commit("Measure before the change")


def _hotspot(play: Play) -> None:
    play.only_shown(("orchgate", "hotspots", TASK))
    play.scratch.write(PROGRAM, WORK.format(rounds=1))
    play.say(f"{PROGRAM} now does one round of work in place of three.")
    play.commit("Do a third of the work")


def _decide(play: Play) -> None:
    if not play.seen:
        return
    play.say("Asked the other way round: is the version before the change slower?")
    keep = r"base|CPU|wall|memory: |\bpairs?\b|^[a-z]+:"
    printed = play.asked(("orchgate", "perf", "--base", "HEAD", "--head", "HEAD~1", PIPELINE), keep)
    play.say(f"=> {decided(printed)}")


def decided(printed: str) -> str:
    """What `orchgate perf` said of the version before, as a sentence about the change."""
    if _SLOWER.search(printed):
        return "faster: the version before is slower, and the test is sure of it"
    if _UNDECIDED.search(printed):
        return "not decided: this machine was too noisy, or the time too short"
    return "no gain that the test is sure of"


def _before_and_after(play: Play) -> None:
    before, after = _runs(play)[0], os.path.basename(os.path.dirname(_recorded(play.do(RUN, keep="^manifest"))))
    play.do(
        ("orchgate", "evidence", "summarize", "--task", TASK, "--before", before, "--after", after),
        keep=r"metric |--|time|written$",
    )
    play.do(("orchgate", "evidence", "pin"), keep="lock:")
    play.commit("Show before and after")


def _embellish(play: Play) -> None:
    text = play.scratch.read(PLAN)
    play.scratch.write(PLAN, _WALL_TIME.sub(r"\g<1>0.001 s", text))
    play.say(f"{PLAN} now has 0.001 s in place of the wall time.")
    play.commit("Embellish the result", lands=False)
    play.scratch.write(PLAN, text)
    play.prepare("git", "add", "--all")


def _push(play: Play) -> None:
    play.say("The versions before and after run in turn, for 30 s at most.")
    play.attempt(PUSH, lands=True)


def _regress(play: Play) -> None:
    play.scratch.write(PROGRAM, WORK.format(rounds=3))
    play.say(f"{PROGRAM} does three rounds again, and that is committed.")
    play.prepare("git", "commit", "-qam", "Tidy up", "--no-verify")
    play.attempt(PUSH, lands=False, undecided=True, keep=r"^(?!orchgate: (?:measuring|refs))")


def _justify(play: Play) -> None:
    if play.scratch.run("git", "rev-list", "-n1", "origin/main..main").stdout == b"":
        play.say("Nothing to justify: the push above landed.")
        return
    play.do(("git", "commit", "-q", "--amend", "--no-edit", "--trailer", REASON))
    play.attempt(PUSH, lands=True, keep=r"^(?:PRF|orchgate: (?!measuring|refs))")


def _travel(play: Play) -> None:
    play.only_shown(("orchgate", "evidence", "push"))
    with tempfile.TemporaryDirectory(prefix="orchgate-try-") as folder:
        clone = os.path.join(folder, "clone")
        remote = os.path.join(play.scratch.root, REMOTE)
        play.do(("git", "clone", "-q", remote, clone), shown=("git", "clone", "-q", REMOTE, "clone"))
        play.say("In the clone, which has no .runs/:")
        play.only_shown(("orchgate", "check", "documents", "evidence", "--all-files"), cwd=clone)
        play.only_shown(("orchgate", "evidence", "fetch"), cwd=clone)


STEPS = (
    DemoStep("The gate is put in front of commits and pushes", _start),
    DemoStep("A task gets its documents: they may land unfinished", _plan),
    DemoStep("A claim without evidence is refused", _claim),
    DemoStep("The same claim lands with a recorded run", _measure),
    DemoStep("Where does the time go?", _hotspot),
    DemoStep("Is the change faster? Not two runs say so, but a verdict", _decide, slow=True),
    DemoStep("Before and after are written into the plan, and pinned", _before_and_after),
    DemoStep("A number that no run shows is refused", _embellish),
    DemoStep("A push is measured before it lands", _push, slow=True),
    DemoStep("A push that gives the gain away is refused", _regress, slow=True),
    DemoStep("It lands for a reason that everybody sees", _justify, slow=True),
    DemoStep("A clone without any run judges the same claims", _travel, slow=True),
)


def _recorded(printed: str) -> str:
    """The repository path of the manifest that a run says it wrote."""
    found = re.search(r"(?m)^manifest: (.+)$", printed)
    return found[1] if found else MANIFEST


def _runs(play: Play) -> list[str]:
    """Ids of the recorded runs, oldest first."""
    return sorted(os.listdir(os.path.join(play.scratch.root, ".runs", TASK, "cli")))
