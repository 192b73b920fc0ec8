"""The prompt of an agent: the goal, the state of the work, and the last output of the validator. All of it bounded."""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, NamedTuple

from orchgate.secrets.redact import redacted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.agent.iterations import Iteration, LoopPlan
    from orchgate.agent.workspace import Workspace

LIMIT = 32 * 1024  # bytes of a whole prompt: one argument of a program may have 128 KiB on Linux
GOAL_LIMIT = 8 * 1024
_STATUS_LIMIT = 4 * 1024
_FILES_LIMIT = 6 * 1024
_OUTPUT_LIMIT = 10 * 1024
_HEADER = 2 * 1024
_SECRET = 4 * 1024  # more than is shown, so that no secret is cut in the middle


class LastValidation(NamedTuple):
    """How the validator ended last, in words, and the end of its output."""

    ended: str
    output: str


class Situation(NamedTuple):
    """What a prompt is made of. `most` is 0 for any number of iterations."""

    goal: str
    number: int
    most: int
    seconds_left: float | None
    validator: str
    status: str
    files: Sequence[str]
    last: LastValidation | None


def situation(
    plan: LoopPlan, number: int, seconds_left: float | None, workspace: Workspace, last: LastValidation | None
) -> Situation:
    """The state of the work before an iteration."""
    return Situation(
        goal=plan.goal,
        number=number,
        most=plan.max_iterations,
        seconds_left=seconds_left,
        validator=plan.validator_line,
        status=redacted(workspace.status()),
        files=workspace.files(),
        last=last,
    )


def last_validation(folder: str, done: Sequence[Iteration]) -> LastValidation | None:
    """The validator's last result, from its log in the folder of the run; None when it has not run yet."""
    one = next((one for one in reversed(done) if one.complete and one.validator_log), None)
    if one is None or one.validator_log is None:
        return None
    code = "did not exit by itself" if one.validator_exit is None else f"exited {one.validator_exit}"
    if one.flaky:
        code = f"is flaky: it passed on the same work tree, and then {code}"
    ended = f"After iteration {one.number} the validator {code}. The end of its output:"
    return LastValidation(ended, last_output(os.path.join(folder, one.validator_log)))


def build(now: Situation) -> str:
    """The prompt, at most `LIMIT` bytes of UTF-8, without NUL."""
    parts = [
        f"# Goal\n\n{head(now.goal, GOAL_LIMIT)}",
        f"# Iteration\n\n{_iteration(now)}",
        f"# Workspace\n\n{_workspace(now)}",
    ]
    if now.last:
        parts.append(f"# Last validation\n\n{now.last.ended}\n\n{tail(now.last.output, _OUTPUT_LIMIT)}")
    return head("\n\n".join(parts).replace("\0", "\ufffd"), LIMIT - 1) + "\n"


@contextlib.contextmanager
def unredacted(text: str, path: str) -> Iterator[str]:
    """A file with the whole prompt: the one at `path` is recorded, and has no secrets."""
    if redacted(text) == text:
        yield path
        return
    import tempfile

    with tempfile.NamedTemporaryFile(prefix="orchgate-") as file:
        file.write(text.encode())
        file.flush()
        yield file.name


def _iteration(now: Situation) -> str:
    of = f" of {now.most}" if now.most else ""
    lines = [f"This is iteration {now.number}{of}."]
    if now.seconds_left is not None:
        lines.append(f"{now.seconds_left / 60:.1f} minutes are left.")
    if now.validator:
        command = head(now.validator, _HEADER)
        lines.append(f"Your work is done when this command, which runs after you, exits 0: {command}")
    return "\n".join(lines)


def _workspace(now: Situation) -> str:
    parts = [f"git status:\n{head(now.status.rstrip(), _STATUS_LIMIT)}"] if now.status else []
    return "\n\n".join([*parts, _listing(now.files)])


def _listing(files: Sequence[str]) -> str:
    shown: list[str] = []
    left_over = _FILES_LIMIT
    for path in files:
        line = redacted(ascii(path)[1:-1] if not path.isprintable() else path)
        left_over -= len(line.encode()) + 1
        if left_over < 0:
            break
        shown.append(line)
    left = f"\n… and {len(files) - len(shown)} more" if len(shown) < len(files) else ""
    return f"{len(files)} files:\n" + "\n".join(shown) + left


def head(text: str, limit: int) -> str:
    """The beginning of a text, at most so many bytes of UTF-8."""
    data = text.encode("utf-8", "replace")
    return data.decode() if len(data) <= limit else data[: limit - 4].decode("utf-8", "ignore") + " …"


def tail(text: str, limit: int) -> str:
    """The end of a text, at most so many bytes of UTF-8."""
    data = text.encode("utf-8", "replace")
    return data.decode() if len(data) <= limit else "… " + data[4 - limit :].decode("utf-8", "ignore")


def last_output(path: str) -> str:
    """The end of a log without secrets, "" when there is none. Older versions wrote logs as they came."""
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
            file.seek(max(0, size - _OUTPUT_LIMIT - _SECRET))
            return redacted(file.read(_OUTPUT_LIMIT + _SECRET).decode("utf-8", "replace"))
    except OSError:
        return ""
