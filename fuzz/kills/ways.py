"""Ways to disturb a call: kills at random and at each call that writes, and calls that fail."""

from __future__ import annotations

import contextlib
import os
import random
import re
import shutil
import signal
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

from fuzz.kills import after
from fuzz.kills.verbs import PATIENCE, Ended, call

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from fuzz.kills.verbs import Room, Verb

CALLS = (
    *(
        "write",
        "pwrite64",
        "openat",
        "rename",
        "renameat",
        "renameat2",
        "unlink",
        "unlinkat",
        "mkdir",
        "mkdirat",
        "rmdir",
    ),
    *("ftruncate", "fsync", "fdatasync", "link", "linkat", "symlink", "symlinkat", "chmod", "fchmod", "flock"),
    *("sendfile", "copy_file_range", "utimensat"),
)
_LINE = re.compile(r"(?:\d+ +)?([a-z0-9_]+)\((.*)")
_WRITING = ("O_WRONLY", "O_RDWR", "O_CREAT")
FAILURES = {
    "fsync": ("EIO",),
    "fdatasync": ("EIO",),
    "flock": ("ENOLCK",),
    "rename": ("ENOSPC", "EROFS"),
    "": ("ENOSPC", "EDQUOT", "EROFS"),
}


class Moment(NamedTuple):
    """The n-th time that a process makes a system call; `shown` is how it looked, with the paths of descriptors."""

    call: str
    number: int
    shown: str


def strace() -> tuple[str, ...] | None:
    """The tracer, None where it is not there or may not trace."""
    found = shutil.which("strace")
    if found is None:
        return None
    tried = subprocess.run([found, "-qq", "-o", os.devnull, "true"], capture_output=True, check=False)
    return (found,) if tried.returncode == 0 else None


def moments(room: Room, verb: Verb, *, children: bool = False) -> tuple[list[Moment], Ended]:
    """The calls that write, of the process itself or of what it starts too, in their order."""
    log = os.path.join(room.folder, "home", "strace")
    follow = ("-f", "--seccomp-bpf") if children else ()
    wrapper = (
        "strace",
        "-qq",
        "-y",
        *follow,
        "-s",
        "40",
        "-o",
        log,
        "-e",
        f"trace={','.join(CALLS)}",
        "-e",
        "signal=none",
    )
    ended = call(room, verb, wrapper)
    counts: dict[tuple[str, str], int] = {}
    found = []
    with open(log, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = _LINE.match(line)
            if match is None:
                continue
            pid = line.split(" ", 1)[0] if children else ""
            name, rest = match.groups()
            number = counts[pid, name] = counts.get((pid, name), 0) + 1
            if name != "openat" or (any(flag in rest for flag in _WRITING) and '"/dev/null"' not in rest):
                found.append(Moment(name, number, f"{name}({rest.strip()[:160]}"))
    return list(dict.fromkeys(found)) if not children else _each_once(found), ended


def _each_once(found: Sequence[Moment]) -> list[Moment]:
    return list({(moment.call, moment.number): moment for moment in found}.values())


def spread(found: Sequence[Moment], most: int) -> list[Moment]:
    """At most so many of the moments, evenly over the call."""
    if len(found) <= most:
        return list(found)
    return [found[index * len(found) // most] for index in range(most)]


def injected(moment: Moment, what: str, *, children: bool = False) -> tuple[str, ...]:
    """What in front of a command makes a call end otherwise."""
    follow = ("-f",) if children else ()  # with --seccomp-bpf, strace 6 injects nothing
    when = f"when={moment.number}"
    quiet = ("-qq", "-o", os.devnull, "-e", f"trace={moment.call}", "-e", "signal=none")
    return ("strace", *quiet, *follow, "-e", f"inject={moment.call}:{what}:{when}")


def kill_at(room: Room, verb: Verb, moment: Moment, *, children: bool, group: bool) -> Ended:
    """The call killed at a moment, what it started too with `group`. The code is 0 when it had no such moment."""
    ended = call(room, verb, injected(moment, "signal=KILL", children=children))
    if group:
        end_all(room)
    return ended


def end_all(room: Room) -> None:
    for pid, _ in after.processes(room):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def kill_after(room: Room, verb: Verb, seconds: float, *, group: bool) -> Ended:
    """The call killed after a time, alone or with its group."""
    child = subprocess.Popen(
        room.argv(verb),
        cwd=room.repo,
        env=room.environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    assert child.stdin is not None
    with contextlib.suppress(BrokenPipeError):
        child.stdin.write(room.stdin(verb))
        child.stdin.close()
    child.stdin = None
    time.sleep(seconds)
    with contextlib.suppress(ProcessLookupError):
        (os.killpg if group else os.kill)(child.pid, signal.SIGKILL)
    out, _ = child.communicate(timeout=PATIENCE)
    return Ended(child.returncode, out.decode("utf-8", "replace"))


def limited(room: Room, verb: Verb, size: int) -> Ended:
    """The call where no file may grow beyond a size."""
    return call(room, verb, ("prlimit", f"--fsize={size}"))


def on_disk(found: Sequence[Moment], room: Room) -> list[Moment]:
    """Those that make or write a file of the room: no disk is full for a pipe, or for taking something away."""
    removing = ("unlink", "unlinkat", "rmdir")
    return [moment for moment in found if room.folder in moment.shown and moment.call not in removing]


def failures(moment: Moment) -> Sequence[str]:
    """What the system may answer to a call."""
    return FAILURES.get(moment.call, FAILURES[""])


@contextlib.contextmanager
def mounted(*argv: str, at: str) -> Iterator[bool]:
    """A file system mounted at a folder; False where that is not allowed."""
    done = subprocess.run(["mount", *argv, at], capture_output=True, check=False)
    try:
        yield done.returncode == 0
    finally:
        if done.returncode == 0:
            subprocess.run(["umount", "-l", at], capture_output=True, check=False)


def chance(seed: int) -> random.Random:
    return random.Random(seed)
