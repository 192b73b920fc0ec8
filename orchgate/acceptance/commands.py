"""Why a command that an item names proves nothing, or cannot be run by anybody: found out before it runs."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from orchgate.plan_commands.shell import ShellCommand

LONGEST = 1_000  # characters; a pin holds them
_UNFILLED = lazy(r"<[A-Za-z][\w.-]*(?: [\w.-]+)*>|\{\{[^{}]*\}\}|…|(?:^|\s)(?:\.\.\.|TODO|TBD)(?:\s|$)")
_LEFT_ALONE = lazy(r"(?<!&)&\s*$")
_ENDED_EARLY = lazy(r"(?:^|[\s;&|({])(?:set\s+-\w*e|set\s+-o\s+errexit|exit\s+(?!0\b)|trap\s|return\s)")
_IDLE = frozenset({"true", ":", "echo", "printf", "sleep", "cd", "pwd", "export", "set"})
_SEARCHING = frozenset({"grep", "egrep", "fgrep", "rg", "ag", "ack", "sed", "awk"})  # what they look for looks like any
_PASSING_ON = frozenset({"cat", "head", "tail", "tee", "sort", "wc"})  # which succeed whatever they read


def why_unusable(command: str) -> str:
    """Why a command is not run, as the end of a sentence that begins with it; "" for one that may be."""
    if len(command) > LONGEST:
        return f"is {len(command)} characters long, limit {LONGEST}: put it into a script"
    if "\0" in command or any("\ud800" <= letter <= "\udfff" for letter in command):
        return "holds a character that cannot be in a command"
    from orchgate.plan_commands.shell import script

    steps = script(command)[0]
    if any(_UNFILLED.search(step.text) for step in steps if not _searches(step)) or not steps:
        return "holds a placeholder that was never filled in" if _UNFILLED.search(command) else ""
    if _LEFT_ALONE.search(command) or all(map(_is_idle, steps)) or _is_excused(command, steps):
        return "succeeds whatever holds, so it proves nothing"
    if hidden := _hidden_by(command, steps):
        return f"ends as {hidden} does, which hides how what it reads from ended"
    return next(filter(None, map(_why_it_waits, steps)), "")


def _searches(step: ShellCommand) -> bool:
    program = step.argv[0].rpartition("/")[2]
    return program in _SEARCHING or (program == "git" and step.argv[1:2] == ("grep",))


def _is_idle(step: ShellCommand) -> bool:
    from orchgate.plan_commands.requested_names import started_programs

    programs = list(started_programs(step))
    for program in programs[1:] or programs:  # a shell, and what its line starts
        words = program.command.argv
        if words[0].rpartition("/")[2] not in _IDLE and words[:2] != ("exit", "0") and words != ("exit",):
            return False
    return True


def _is_excused(command: str, steps: list[ShellCommand]) -> bool:
    """Whether what comes last succeeds, however what is in front of it ended."""
    sign = _sign_before(command, steps[-1])
    if len(steps) == 1 or not _is_idle(steps[-1]) or sign not in ("||", ";", "\n", "&"):
        return False
    return sign == "||" or _ENDED_EARLY.search(command) is None


def _hidden_by(command: str, steps: list[ShellCommand]) -> str:
    """The program at the end of a pipe whose exit code says nothing of what it reads from; "" for none."""
    last = steps[-1].argv[0]
    piped = _sign_before(command, steps[-1]) in ("|", "|&") and last.rpartition("/")[2] in _PASSING_ON
    return last if piped and "pipefail" not in command else ""


def _sign_before(command: str, step: ShellCommand) -> str:
    """The operator in front of a step, "" for none and for an opened bracket."""
    before = command[: step.offset].rstrip(" \t")
    return next((sign for sign in ("&&", "||", "|&", "|", ";", "&", "\n") if before.endswith(sign)), "")


def _why_it_waits(step: ShellCommand) -> str:
    from orchgate.plan_commands.interactive import password, why_it_waits
    from orchgate.plan_commands.requested_names import started_programs

    waits = (why_it_waits(program, step) for program in started_programs(step))
    wait = next(filter(None, waits), None) or password(step)
    return f"{wait.why}, and nobody is there to answer; {wait.instead}" if wait else ""
