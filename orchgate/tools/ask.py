"""Asks declared tools for their versions: the one place that starts a program nobody asked a stage to start.

`node --version`, or the words that the configuration has: in the work tree, because shims choose there, without input,
for two seconds each and eight in all. The first line of what a tool prints counts where it ends well; whatever else it
does, its group is ended and it is not asked. Answers of programs that are no scripts and choose nothing are kept for a
day, by the file.
"""

from __future__ import annotations

import os
import signal
import time

from orchgate.errors import OrchgateError
from orchgate.lib import process
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, suppress
from orchgate.runs.used_tools import find
from orchgate.tools.installations import chooses
from orchgate.tools.kept import is_settled, keep
from orchgate.tools.programs import of_program
from orchgate.tools.reading import Launch, facts, head

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchgate.runs.used_tools import Environ, Facts, ProgramFile, UsedTools

SECONDS = 2.0  # for each tool
ALL_SECONDS = 8.0  # for all of them
MOST_BYTES = 64 * 1024  # of an answer
KEPT_SECONDS = 86_400.0
_PAUSE = 0.005
_ESCAPES = lazy(r"\x1b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_LEAD = lazy(r"(?:version\s+)?v?(?=\S*[0-9])", 0)


def ask(declared: Sequence[str], used: UsedTools, environ: Environ) -> None:
    """Asks the tools that are declared, unless they are in the work tree, and adds what is known of all that are there.

    No errors.
    """
    at, end = Launch(used.root, environ), time.monotonic() + ALL_SECONDS
    found: list[Facts] = []
    for command in declared:
        name, *options = command.split()
        file = find(name, at.cwd, at.folders) if "/" not in name else None
        if file is None:
            continue
        left = min(SECONDS, end - time.monotonic())
        if not used.is_inside(file.real) and (version := _answer(file, options or ["--version"], used, at, left)):
            used.asked[name, file.real] = facts(name, version, None, "asked")
        with suppress(OSError):
            found += of_program(name, file, used, at)
    used.declared = tuple(found)


def _answer(file: ProgramFile, options: Sequence[str], used: UsedTools, at: Launch, seconds: float) -> str:
    """The version that a tool tells, perhaps some hours ago. No errors."""
    name = os.path.basename(file.path)
    key = _key(file, options)
    if key and (known := _fresh(used.kept(key))):
        return known
    try:
        printed = _ask((file.path, *options), at, seconds) if seconds > 0 else b""
    except (OSError, OrchgateError):
        return ""
    version = version_in(name, printed)
    if version and key and used.cache:
        keep(used.cache, key, f"{time.time():.0f} {version}")
    return version


def _key(file: ProgramFile, options: Sequence[str]) -> str:
    """What an answer follows from; "" where that is more than a file: a script, or a program that chooses another."""
    with suppress(OSError):
        chosen = chooses(os.path.basename(file.path), file.real)
        if head(file.real, 2) != b"#!" and not chosen and is_settled(file):
            return ascii((file.path, file.real, *file.identity, *options))
    return ""


def _fresh(known: str) -> str:
    """A version that was kept, while it is not old; "" for none."""
    at, _, version = known.partition(" ")
    return version if at.isdecimal() and 0 <= time.time() - int(at) < KEPT_SECONDS else ""


def version_in(name: str, printed: bytes) -> str:
    """The first line that is not empty, without colours, and without the tool's name before the version."""
    text = _ESCAPES.sub("", printed.decode("utf-8", "replace"))
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    if line.lower().startswith(name.lower()) and not line[len(name) : len(name) + 1].isalnum():
        line = line[len(name) :].lstrip(" \t:,")
    found = _LEAD.match(line)
    return line[found.end() :] if found else line


def _ask(argv: Sequence[str], at: Launch, seconds: float) -> bytes:
    """What a program prints within its time, b"" where it fails or prints very much. Raises OSError, OrchgateError."""
    output, into = os.pipe()
    try:
        try:
            child = process.spawn(argv, cwd=at.cwd, env=at.environ, output=into)
        finally:
            os.close(into)
        end = time.monotonic() + seconds
        try:
            printed = _read(output, end)
            ended_well = len(printed) <= MOST_BYTES and _ended_well(child, end)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
        return printed if ended_well else b""
    finally:
        os.close(output)


def _read(output: int, end: float) -> bytes:
    import select

    data = b""
    while len(data) <= MOST_BYTES and (left := end - time.monotonic()) > 0:
        if select.select([output], [], [], left)[0]:
            part = os.read(output, MOST_BYTES)
            if not part:
                break
            data += part
    return data


def _ended_well(child: int, end: float) -> bool:
    """Whether a program has ended, and without an error; it is waited for, and stays to be reaped."""
    while True:
        found = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found is not None:
            return found.si_code == os.CLD_EXITED and found.si_status == 0
        if time.monotonic() >= end:
            return False
        time.sleep(_PAUSE)
