"""`orchgate rlm`: lets an agent work towards a goal until a validator is satisfied, and records every turn."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

from orchgate.commands.shared import running
from orchgate.errors import ConfigError, OrchgateError, UsageError
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.agent.iterations import LoopEnding, LoopPlan
    from orchgate.agent.validator import Candidate

SUMMARY = "let an agent work towards a goal until a validator passes, every turn recorded"
VERSION = 1
ITERATIONS = 10
TASK = "rlm"
_CODES = (
    "exit codes: 0 passed, or every iteration done without a validator; 2 no validator; 3 iterations or minutes used "
    "up, or no progress; 4 the validator could not start; 5 wrong options; 10 error; 130 interrupted"
)


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


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = _CODES
    parser.add_argument("--goal", default="", metavar="TEXT", help="what is to be achieved")
    parser.add_argument(
        "--agent", default="", metavar="CMD", help="reads the prompt from its input, or as a {prompt} in CMD"
    )
    parser.add_argument(
        "--validator", default="auto", metavar="CMD", help="exits 0 when the goal is reached; auto, none (%(default)s)"
    )
    # Numbers are read by `_limits`: argparse would end with the code of a missing validator.
    parser.add_argument("--max-iterations", metavar="N", help=f"0 for any number ({ITERATIONS})")
    parser.add_argument("--max-minutes", metavar="M", help="for the whole loop; what runs then is ended")
    parser.add_argument("--task", default="", metavar="ID", help=f"the task whose evidence this is ({TASK})")
    parser.add_argument("--resume", default="", metavar="RUN", help="go on with a run that was killed or cancelled")
    parser.add_argument("--output-format", choices=("text", "json"), default="text", help="(%(default)s)")


def run(args: argparse.Namespace) -> int:
    """As `_CODES` says."""
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
    root = running.root()
    plan = LoopPlan(goal, agent, _validator(args.validator, root), iterations, minutes)
    if plan.endless:
        raise _BadOptions("any number of iterations needs a validator or a time limit", "--max-minutes 30")
    _check_agent(plan, root)
    setting = running.setting(args.task or TASK, running.reporter(args.output_format), cache=False)
    return loop.run(setting, plan)


def _resumed(args: argparse.Namespace) -> tuple[str, LoopEnding]:
    from orchgate.agent import loop
    from orchgate.runs.ids import run_folder

    if args.goal or args.agent or args.validator != "auto":
        raise _BadOptions("a run keeps its goal, agent and validator", "only the limits can change with --resume")
    limits = _limits(args)
    task, folder = running.locate(running.root(), args.resume, args.task)
    setting = running.setting(task, running.reporter(args.output_format), cache=False)
    if run_folder(setting.root, task, os.path.basename(folder)) != folder:
        raise _Failed(f"{folder} is not a run of this repository", "cd to where it was run")
    return loop.resume(setting, folder, limits)


def _limits(args: argparse.Namespace) -> dict[str, Any]:
    """The limits that were given."""
    import math

    found: dict[str, Any] = {}
    try:
        if args.max_iterations is not None:
            found["max_iterations"] = int(args.max_iterations)
        if args.max_minutes is not None:
            found["max_minutes"] = float(args.max_minutes)
    except ValueError as error:
        raise _BadOptions(f"not a number: {error}", "--max-iterations 10 --max-minutes 30") from error
    if not 0 <= found.get("max_iterations", 0) <= 10_000:
        raise _BadOptions("--max-iterations takes a number from 0 to 10000", "0 is for any number")
    minutes = found.get("max_minutes", 1.0)
    if not (math.isfinite(minutes) and 0 < minutes <= 100_000):
        raise _BadOptions("--max-minutes takes a number above 0", "--max-minutes 30")
    return found


def _goal(text: str) -> str:
    from orchgate.agent.prompt import GOAL_LIMIT

    if not text.strip():
        raise _BadOptions("the loop needs a goal", '--goal "make the tests pass"')
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
    from orchgate.agent.validator import detect

    if wanted == "none":
        return ()
    if wanted != "auto":
        return _words("--validator", wanted)
    found = detect(root)
    if not found:
        raise _NoValidator("nothing here tells how it is tested", '--validator "make test", or --validator none')
    chosen = found[0] if len(found) == 1 else _chosen(found)
    return _words("--validator", chosen.command)


def _chosen(found: list[Candidate]) -> Candidate:
    """The one that a person picks; without a terminal there is nobody to ask."""
    listed = [f"{one.command} ({one.because})" for one in found]
    if not (sys.stdin and sys.stdin.isatty() and sys.stderr.isatty()):
        raise _NoValidator(f"several validators are possible: {', '.join(listed)}", f'--validator "{found[0].command}"')
    for number, line in enumerate(listed, 1):
        sys.stderr.write(f"  {number}  {line}\n")
    sys.stderr.write("which one? ")
    sys.stderr.flush()
    answer = sys.stdin.readline().strip()
    if answer.isdecimal() and 1 <= int(answer) <= len(found):
        return found[int(answer) - 1]
    raise _NoValidator(f"{answer[:40]!r} is none of them", f'--validator "{found[0].command}"')


def _show(folder: str, ending: LoopEnding, output: str) -> None:
    from orchgate.agent import iterations

    root = running.root()
    state = os.path.join(os.path.dirname(running.shown(root, folder)), iterations.STATE)
    import json

    with open(os.path.join(folder, iterations.STATE), encoding="utf-8") as file:
        told = json.load(file)
    if output == "json":
        paths = {"manifest_path": running.shown(root, folder), "state_path": state}
        running.print_json({"version": VERSION, **paths, **told})
        return
    for line in _remarks(told["iterations"]):
        sys.stdout.write(escape(line) + "\n")
    meaning = f": {_MEANING[ending.status]}" if ending.status in _MEANING else ""
    sys.stdout.write(escape(f"ended: {ending.status}{meaning}") + "\n")
    sys.stdout.write(escape(f"manifest: {running.shown(root, folder)}") + "\n")
    sys.stdout.write(escape(f"state: {state}") + "\n")


def _remarks(turns: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What nobody should overlook, however the loop ended."""
    if flaky := [str(turn["n"]) for turn in turns if turn.get("flaky")]:
        yield f"the validator is flaky: it passed and failed on the same work tree (iteration {', '.join(flaky)})"
    for turn in turns:
        if turn.get("outside"):
            from orchgate.agent import outside

            yield f"iteration {turn['n']} {outside.summary(turn['outside'], turn['outsideCount'])}"
