"""Why a command that an item names proves nothing, or cannot be run by anybody: found out before it runs."""

from __future__ import annotations

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from orchgate.plan_commands.shell import ShellCommand

LONGEST = 1_000  # characters; a pin holds them
_UNFILLED = lazy(r"<[A-Za-z][\w.-]*(?: [\w.-]+)*>|\{\{[^{}]*\}\}|…|(?:^|\s)(?:\.\.\.|TODO|TBD)(?:\s|$)")
_EXCUSED = lazy(r"(?:\|\||;|&)\s*(?:true|:|exit\s+0)\s*;?\s*$|&\s*$")
_IDLE = frozenset({"true", ":", "echo", "printf", "sleep", "cd", "pwd", "export", "set"})


def why_unusable(command: str) -> str:
    """Why a command is not run, as the end of a sentence that begins with it; "" for one that may be."""
    if len(command) > LONGEST:
        return f"is {len(command)} characters long, limit {LONGEST}: put it into a script"
    if "\0" in command or any("\ud800" <= letter <= "\udfff" for letter in command):
        return "holds a character that cannot be in a command"
    if _UNFILLED.search(command):
        return "holds a placeholder that was never filled in"
    from orchgate.plan_commands.shell import script

    steps = script(command)[0]
    if _EXCUSED.search(command) or (steps and all(map(_is_idle, steps))):
        return "succeeds whatever holds, so it proves nothing"
    return next(filter(None, map(_why_it_waits, steps)), "")


def _is_idle(step: ShellCommand) -> bool:
    words = step.argv
    return bool(words) and (words[0] in _IDLE or words[:2] == ("exit", "0") or words == ("exit",))


def _why_it_waits(step: ShellCommand) -> str:
    from orchgate.plan_commands.interactive import password, why_it_waits
    from orchgate.plan_commands.requested_names import started_programs

    waits = (why_it_waits(program, step) for program in started_programs(step))
    wait = next(filter(None, waits), None) or password(step)
    return f"{wait.why}, and nobody is there to answer; {wait.instead}" if wait else ""
