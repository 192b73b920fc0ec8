"""`orchgate doctor`: whether the gate works in this repository, and the command that helps where it does not."""

from __future__ import annotations

import sys

from orchgate.commands.shared import options, work_tree
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._document import headed
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator
    from typing import Any

    from orchgate.commands.doctor.canary import Drill
    from orchgate.commands.doctor.examination import Fact

SUMMARY = "say whether the gate works here, and what helps where it does not"
ABOUT = """\
Looks at git, hooks, base, configuration, folders, evidence, clock and machine,
and changes nothing. --canary plants a violation of each rule that refuses into a
throw-away copy of HEAD, and says which the gate would let through."""
EXAMPLES = ("orchgate doctor", "orchgate doctor --canary", "orchgate doctor --no-noise --output-format json")
EXIT_CODES = {
    0: "nothing keeps the gate from working",
    1: "something does; --canary: a violation was not refused",
    3: "not in a repository that can be judged; --canary: a violation could not be judged",
}
VERSION = 1
_MARKS = {
    "ok": "ok  ",
    "advice": "note",
    "problem": "FIX ",
    "refused": "ok  ",
    "off": "off ",
    "passed": "FIX ",
    "unjudged": "?   ",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--canary", action="store_true", help="plant violations in a copy, and see each refused")
    parser.add_argument("--no-noise", action="store_true", help="do not measure how noisy this machine is (2 s)")
    options.output_format(parser, "doctor")


def run(args: argparse.Namespace) -> Verdict:
    if args.canary:
        return _canary(args)
    from orchgate.commands.doctor import examination

    facts = []
    for fact in examination.facts(noise=not args.no_noise):
        facts.append(fact)
        if args.output_format == "text":
            _print(_lines(fact))
    problems = sum(fact.status == "problem" for fact in facts)
    if args.output_format == "json":
        shown = [{**fact._asdict(), "command": fact.command or None} for fact in facts]
        work_tree.print_json(headed("doctor", {"facts": shown, "drills": None}, VERSION))
    elif problems:
        _print([f"orchgate: {problems} to fix; then: `orchgate doctor --canary`"])
    else:
        _print(["orchgate: the gate works here; to see it refuse a change: `orchgate doctor --canary`"])
    if any(fact.topic == "repository" and fact.status == "problem" for fact in facts):
        return Verdict.BROKEN
    return Verdict.FAIL if problems else Verdict.PASS


def _canary(args: argparse.Namespace) -> Verdict:
    from orchgate.commands.doctor import canary

    drills = []
    for drill in canary.drills():
        drills.append(drill)
        if args.output_format == "text":
            _print([_drill(drill)])
    passed = [drill.rule for drill in drills if drill.status == "passed"]
    if args.output_format == "json":
        shown = [drill._asdict() for drill in drills]
        work_tree.print_json(headed("doctor", {"facts": None, "drills": shown}, VERSION))
    else:
        _print([_summed(drills, passed)])
    if any(drill.status == "unjudged" for drill in drills) and not passed:
        return Verdict.BROKEN
    return Verdict.FAIL if passed else Verdict.PASS


def _summed(drills: list[Drill], passed: list[str]) -> str:
    refused = sum(drill.status == "refused" for drill in drills)
    off = sum(drill.status == "off" for drill in drills)
    let = f", {len(passed)} let through: {', '.join(passed)}" if passed else ""
    return f"orchgate: {refused} of {len(drills)} planted violations refused, {off} off{let}"


def _drill(drill: Drill) -> str:
    what = {"refused": "refused", "off": "off", "passed": "LET THROUGH", "unjudged": "could not be judged"}[
        drill.status
    ]
    return f"{_MARKS[drill.status]} {drill.rule} {what}: {escape(drill.about)}"


def _lines(fact: Fact) -> Iterator[str]:
    yield f"{_MARKS[fact.status]} {fact.topic}: {escape(fact.message)}"
    if fact.command:
        yield f"       {escape(fact.command)}"


def _print(lines: Iterable[Any]) -> None:
    sys.stdout.writelines(f"{line}\n" for line in lines)
    sys.stdout.flush()
