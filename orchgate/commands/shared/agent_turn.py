"""What stops a coding agent at the end of its turn: the findings of the gate as JSON, in the way that its tool reads.

The work tree is judged as a commit of everything in it would be: an agent stages late, or never.
Claude Code and Codex go on where a Stop hook ends with 2, and read its standard error; any other code but 0 stops
nobody: https://code.claude.com/docs/en/hooks and https://developers.openai.com/codex/hooks. Cursor reads a message from
standard output: https://cursor.com/docs/agent/hooks.
"""

from __future__ import annotations

import json
import os
import sys

from orchgate.errors import OrchgateError
from orchgate.gate import session
from orchgate.git.state import everything_staged
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Location, ScopeRequest, Severity, Trouble, Verdict
from orchgate.outputs import _document
from orchgate.outputs.json import diagnostic, trouble

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from orchgate.model import Report

TOOLS = ("claude", "codex", "cursor", "generic")
STOPPED = 2  # the code that Claude Code and Codex take for "go on"
TOLD = 1  # shown to the person, stops nobody
_MOST = 20  # findings: what does not fit into a context is no help
_MAX_INPUT = 4 << 20  # bytes
_FIELDS = ("rule", "path", "line", "column", "message", "hint", "next")


def stop(tool: str) -> int:
    """The exit code by which the tool knows whether its agent may end its turn."""
    asked = _input()
    if asked.get("status") in ("aborted", "error"):  # Cursor: a person ended it
        return 0
    judged = _judged()
    if judged is None:
        return 0
    # An agent that was stopped before for what it cannot change, such as a missing base, would go on for ever.
    again = bool(asked.get("stop_hook_active")) or bool(asked.get("loop_count"))
    if judged["verdict"] != Verdict.FAIL.value and again:
        _write(sys.stderr, judged)
        return TOLD if tool != "cursor" else 0
    if tool == "cursor":
        _write(sys.stdout, {"followup_message": _document.text_of(judged, indent=None)})
        return 0
    _write(sys.stderr, judged)
    return STOPPED


def _write(stream: Any, what: object) -> None:
    _document.write(what, stream, indent=1)


def _input() -> dict[str, object]:
    """What the tool says about the turn; nothing where it says nothing that can be read."""
    if sys.stdin is None or sys.stdin.isatty():
        return {}
    try:
        found = json.loads(sys.stdin.buffer.read(_MAX_INPUT))
    except (ValueError, OSError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _judged() -> dict[str, object] | None:
    """What the gate has against the work tree; None for nothing."""
    try:
        report = _report()
    except OrchgateError as error:
        return _stopping(Verdict.BROKEN, (), [Trouble(Location(""), error.message, error.hint)])
    if any(check.crash is not None for check in report.checks):
        return _stopping(Verdict.BROKEN, (), [one for check in report.checks for one in check.troubles])
    if report.verdict in session.LANDS:
        return None
    return _of(report)


def _report() -> Report:
    with session.opened() as repository:
        if not repository.root:
            raise OrchgateError("a bare repository has no work tree to judge", "run the agent in a clone")
        with everything_staged(repository, os.environ) as environ, session.opened(environ) as staged:
            return session.judge_request(staged, ScopeRequest(staged=True), environ, ignores=True)


def _of(report: Report) -> dict[str, object]:
    standing = (one for one in report.diagnostics if one.suppressed is None and not one.older)
    refusing = [one for one in standing if one.severity is Severity.ERROR]
    troubles = list(dict.fromkeys(one for check in report.checks for one in check.troubles))
    return _stopping(report.verdict, [diagnostic(one) for one in refusing], troubles)


def _stopping(verdict: Verdict, findings: Iterable[dict[str, object]], troubles: list[Trouble]) -> dict[str, object]:
    listed = [{name: one[name] for name in _FIELDS} for one in findings]
    asked = "Fix every finding in the work tree, then end your turn again. Do not commit with --no-verify."
    unknown = "The gate could not check the work tree. Fix what it names, or tell the person what is in the way."
    facts = {
        "verdict": verdict.value,
        "message": asked if listed else unknown,
        "findings": listed[:_MOST],
        "troubles": [trouble(one) for one in troubles[:_MOST]],
        "left_out": max(0, len(listed) - _MOST),
    }
    return _document.headed("agent", facts)
