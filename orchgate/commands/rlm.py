"""`orchgate rlm`: lets an agent work towards a goal until a validator is satisfied, and records every iteration."""

from __future__ import annotations

import os
import sys

from orchgate.commands.shared import options, work_tree
from orchgate.commands.shared.options import Renamed, output_format, whole_number
from orchgate.errors import ConfigError, OrchgateError, UsageError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from orchgate.agent.iterations import LoopEnding, LoopPlan
    from orchgate.agent.loop import Candidate
    from orchgate.commands.shared.command_line import Parser

SUMMARY = "let an agent work towards a goal until a validator passes, every iteration recorded"
VERSION = 1
ITERATIONS = 10
TASK = "rlm"
LONGEST = 100 * options.DAY
ABOUT = """\
Runs the agent, then the validator, until the validator passes or a limit is
reached. Without options, detects the validator and runs ten times at most. The
exit codes are those of codex-orchestrator's rlm, which this command replaces."""
EXAMPLES = (
    'orchgate rlm --task 0001-faster-start --goal "pass the tests" --agent my-agent',
    'orchgate rlm --goal "fix lint" --agent "bot {prompt}" --validator "make lint"',
)
ONLY_OWN_CODES = True
EXIT_CODES = {
    0: "the validator passed, or every iteration is done without one",
    2: "no validator",
    3: "iterations or time used up, or no progress",
    4: "the validator could not be started",
    5: "wrong usage or configuration",
    10: "error",
    130: "interrupted",
}
_MEANING = {
    "record-removed": "the folder of this run was removed while it went on; it was put back, without its logs",
    "record-changed": "the record of this run was changed while the agent ran: nobody can rely on it",
}


class _BadOptions(UsageError):
    exit_code = 5


class _NoValidator(UsageError):
    exit_code = 2


class _Failed(OrchgateError):
    exit_code = 10


def arguments(parser: Parser) -> None:
    parser.refused = _BadOptions
    parser.add_argument("--goal", default="", metavar="TEXT", help="what is to be achieved")
    parser.add_argument(
        "--agent", default="", metavar="CMD", help="gets the prompt on standard input, or in place of {prompt}"
    )
    parser.add_argument(
        "--validator", default="auto", metavar="CMD", help="exits 0 once the goal is reached; or none (%(default)s)"
    )
    number = whole_number(0, 10_000)
    parser.add_argument("--max-iterations", type=number, metavar="N", help=f"0 for any number ({ITERATIONS})")
    what = "for the whole loop, such as 30s, 5m or 1h30m; what runs then is ended (no limit)"
    parser.add_argument("--max-time", type=options.up_to(LONGEST), metavar="TIME", help=what)
    parser.old_names = {"--max-minutes": Renamed("--max-time", lambda minutes: f"{minutes}m")}
    work_tree.task_option(parser, f"the task whose evidence this is ({TASK})")
    parser.add_argument("--resume", default="", metavar="RUN", help="continue a run that was killed or cancelled")
    output_format(parser, "rlm")


def run(args: argparse.Namespace) -> int:
    """As EXIT_CODES says."""
    try:
        folder, ending = _resumed(args) if args.resume else _begun(args)
    except (_NoValidator, _BadOptions, _Failed):
        raise
    except (UsageError, ConfigError) as error:
        raise _BadOptions(error.message, error.hint) from error
    except OrchgateError as error:
        raise _Failed(error.message, error.hint) from error
    except Exception as error:
        raise _Failed(f"internal error: {type(error).__name__}: {error}") from error
    _show(folder, ending, args.output_format)
    return ending.code


def _begun(args: argparse.Namespace) -> tuple[str, LoopEnding]:
    from orchgate.agent import loop
    from orchgate.agent.iterations import LoopPlan

    limits = _limits(args)
    goal = _goal(args.goal)
    agent = _words("--agent", args.agent)
    iterations, minutes = limits.get("max_iterations", ITERATIONS), limits.get("max_minutes")
    root = work_tree.root()
    plan = LoopPlan(goal, agent, _validator(args.validator, root), iterations, minutes)
    if plan.endless:
        raise _BadOptions("any number of iterations needs a validator or a time limit", "add --max-time 30m")
    _check_agent(plan, root)
    reporter = work_tree.reporter(args.output_format)
    setting = work_tree.setting(args.task or TASK, reporter, cache=False, is_known=not args.task)
    return loop.run(setting, plan)


def _resumed(args: argparse.Namespace) -> tuple[str, LoopEnding]:
    from orchgate.agent import loop
    from orchgate.runs.ids import run_folder

    if args.goal or args.agent or args.validator != "auto":
        raise _BadOptions("a run keeps its goal, agent and validator", "only the limits can change with --resume")
    limits = _limits(args)
    task, folder = work_tree.locate(work_tree.root(), args.resume, args.task)
    setting = work_tree.setting(task, work_tree.reporter(args.output_format), cache=False, is_known=True)
    if run_folder(setting.root, task, os.path.basename(folder)) != folder:
        raise _Failed(f"{folder} is not a run of this repository", "cd to where it was run")
    return loop.resume(setting, folder, limits)


def _limits(args: argparse.Namespace) -> Mapping[str, Any]:
    """The limits that were given."""
    found = {}
    if args.max_iterations is not None:
        found["max_iterations"] = args.max_iterations
    if args.max_time is not None:
        found["max_minutes"] = args.max_time / options.MINUTE
    return found


def _goal(text: str) -> str:
    from orchgate.agent.iterations import GOAL_LIMIT

    if not text.strip():
        raise _BadOptions("--goal is missing", 'such as --goal "make the tests pass"')
    if len(text.encode("utf-8", "replace")) > GOAL_LIMIT:
        raise _BadOptions(f"the goal is longer than {GOAL_LIMIT} bytes", "put it in a file and name the file")
    return text


def _words(option: str, line: str) -> tuple[str, ...]:
    import shlex

    try:
        words = tuple(shlex.split(line))
    except ValueError as error:
        raise _BadOptions(f"{option}: {error}", "quote it as for a shell") from error
    if not words or not words[0]:
        raise _BadOptions(f"{option} names no command", f'{option} "my-command --flag"')
    return words


def _check_agent(plan: LoopPlan, root: str) -> None:
    import shutil

    program = plan.agent[0]
    found = shutil.which(os.path.join(root, program) if "/" in program else program)
    if found is None:
        raise _BadOptions(f"--agent: cannot run {program}", f"install {program} and put it on PATH")


def _validator(wanted: str, root: str) -> tuple[str, ...]:
    from orchgate.agent.loop import detect_validators

    if wanted == "none":
        return ()
    if wanted != "auto":
        return _words("--validator", wanted)
    found = detect_validators(root)
    if not found:
        raise _NoValidator("no validator was found here", 'name one: --validator "make test", or --validator none')
    chosen = found[0] if len(found) == 1 else _chosen(found)
    return _words("--validator", chosen.command)


def _chosen(found: list[Candidate]) -> Candidate:
    """The one that a person picks; without a terminal there is nobody to ask."""
    listed = [f"{one.command} ({one.because})" for one in found]
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise _NoValidator(
            f"several validators are possible: {', '.join(listed)}", f'choose one: --validator "{found[0].command}"'
        )
    for number, line in enumerate(listed, 1):
        sys.stderr.write(f"  {number}  {line}\n")
    sys.stderr.write("which one? ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(found):
        return found[int(answer) - 1]
    raise _NoValidator(f"{answer[:40]!r} is none of them", f'choose one: --validator "{found[0].command}"')


def _show(folder: str, ending: LoopEnding, output: str) -> None:
    from orchgate.agent import iterations

    root = work_tree.root()
    state = os.path.join(os.path.dirname(work_tree.shown(root, folder)), iterations.STATE)
    import json

    with open(os.path.join(folder, iterations.STATE), encoding="utf-8") as file:
        state_document = json.load(file)
    if output == "json":
        work_tree.print_json(_document(root, folder, state, state_document, ending))
        return
    for line in _remarks(state_document["iterations"]):
        sys.stdout.write(escape(line) + "\n")
    meaning = f": {_MEANING[ending.status]}" if ending.status in _MEANING else ""
    sys.stdout.write(escape(f"ended: {ending.status}{meaning}") + "\n")
    sys.stdout.write(escape(f"manifest: {work_tree.shown(root, folder)}") + "\n")
    sys.stdout.write(escape(f"state: {state}") + "\n")


def _document(
    root: str, folder: str, state: str, state_document: Mapping[str, Any], ending: LoopEnding
) -> dict[str, object]:
    """The state as codex-orchestrator writes it stands in `state`, and for one more minor version beside it."""
    from orchgate.outputs._document import headed

    facts = {
        "run_id": os.path.basename(folder),
        "task_id": os.path.basename(os.path.dirname(os.path.dirname(folder))),
        "status": ending.status,
        "exit_code": ending.code,
        "iteration_count": len(state_document["iterations"]),
        "manifest_path": work_tree.shown(root, folder),
        "state_path": state,
        "state": state_document,
    }
    known = headed("rlm", facts, VERSION)
    return {**known, **{name: value for name, value in state_document.items() if name not in known}}


def _remarks(iterations: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What nobody should overlook, however the loop ended."""
    if flaky := [str(one["n"]) for one in iterations if one.get("flaky")]:
        yield f"the validator is flaky: it passed and failed on the same work tree (iteration {', '.join(flaky)})"
    for one in iterations:
        if one.get("outside"):
            from orchgate.agent import workspace

            yield f"iteration {one['n']} {workspace.outside_summary(one['outside'], one['outsideCount'])}"
