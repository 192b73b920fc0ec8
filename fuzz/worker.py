"""Feeds one target in a process of its own: `python -m fuzz.worker TARGET SECONDS SEED FOLDER`.

atheris chooses the inputs by the code that they reach; where it is not installed, changed seeds have to do. What an
input is lies in FOLDER/current while it is tried, so that whoever started us finds it when the process is gone.
"""

from __future__ import annotations

import importlib
import mmap
import os
import pkgutil
import random
import signal
import sys
import time
import traceback
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, cast

import fuzz.targets
import orchgate
from fuzz import mutate
from fuzz.violation import Violation
from orchgate.errors import OrchgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from fuzz.targets import Target

DEADLINE = 10.0  # seconds of CPU for one input
MEMORY = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
MOST = 40  # findings of a target that are kept
CURRENT = "current"
_HEAD = 13  # bytes of a number
OURS = os.path.dirname(orchgate.__file__)
HERMETIC = {
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_TERMINAL_PROMPT": "0",
}


def names() -> tuple[str, ...]:
    """All targets."""
    return tuple(module.name for module in pkgutil.iter_modules(fuzz.targets.__path__))


def load(name: str) -> Target:
    return cast("Target", importlib.import_module(f"fuzz.targets.{name}"))


def fault(one: Callable[[bytes], int | None], data: bytes) -> Exception | None:
    """What an input led to that it must not, None when the answer is one of those we stand by."""
    try:
        one(data)
    except OrchgateError:
        return None
    except Exception as error:  # noqa: BLE001 -- this is what is looked for
        return error
    return None


def place(error: Exception) -> str:
    """What makes two findings the same: the kind, and the innermost line of ours."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if OURS in frame.filename] or frames
    message = f" ({str(error)[:80]})" if isinstance(error, Violation) else ""
    return f"{type(error).__name__} at {os.path.basename(ours[-1].filename)}:{ours[-1].lineno}{message}"


class Slot:
    """The input that is being tried, in memory that outlives the process."""

    def __init__(self, folder: str) -> None:
        path = os.path.join(folder, CURRENT)
        size = mutate.LONGEST * 4
        with open(path, "w+b") as file:
            file.truncate(size)
            self._memory = mmap.mmap(file.fileno(), size)
        self.number = 0

    def put(self, data: bytes) -> None:
        self.number += 1
        head = b"%12d %8d *" % (self.number, len(data))
        self._memory[_HEAD : _HEAD + len(head) + len(data)] = head + data

    def done(self, rounds: int) -> None:
        self._memory[:_HEAD] = b"%12d " % rounds
        self._memory[_HEAD + 22 : _HEAD + 23] = b"-"


class Last(NamedTuple):
    """How many inputs and rounds there were, the last input, and whether it is still being tried."""

    number: int
    rounds: int
    data: bytes
    busy: bool


def read_slot(folder: str) -> Last:
    with open(os.path.join(folder, CURRENT), "rb") as file:
        rounds, number, size = (int(file.read(width).strip(b"\0") or 0) for width in (_HEAD, 13, 9))
        busy = file.read(1) == b"*"
        return Last(number, rounds, file.read(size), busy)


class Tried:
    """Tries inputs and keeps what is found, each kind once."""

    def __init__(self, one: Callable[[bytes], int | None], folder: str) -> None:
        self._one = one
        self._rounds = 0
        self._folder = folder
        self._slot = Slot(folder)
        self._found: set[str] = set()

    def __call__(self, data: bytes) -> None:
        self._slot.put(data)
        signal.setitimer(signal.ITIMER_PROF, DEADLINE)  # nobody catches its signal: a hang ends the process
        error = fault(self._counted, data)
        signal.setitimer(signal.ITIMER_PROF, 0)
        self._slot.done(self._rounds)
        if error is not None and len(self._found) < MOST and place(error) not in self._found:
            self._found.add(place(error))
            keep(os.path.join(self._folder, f"finding-{len(self._found):02}"), place(error), data, error)

    def _counted(self, data: bytes) -> None:
        self._rounds += self._one(data) or 0


def keep(path: str, what: str, data: bytes, error: Exception | None = None) -> None:
    """Writes a finding down: the input, and beside it what it leads to."""
    with open(path, "wb") as file:
        file.write(data)
    with open(f"{path}.txt", "w", encoding="utf-8", errors="backslashreplace") as text:
        text.write(f"{what}\n")
        text.writelines(traceback.format_exception(error) if error else ())


def main(name: str, seconds: float, seed: int, folder: str) -> NoReturn:
    os.environ.update(HERMETIC)
    guide = _atheris()
    target = load(name)
    seeds = tuple(data[: mutate.LONGEST] for data in target.seeds())
    work = os.path.join(folder, "work")
    os.mkdir(work)
    tried = Tried(target.prepare(work), folder)
    end = time.monotonic() + seconds
    _first(tried, seeds, end, seed)
    left = end - time.monotonic()
    if left > 0 and guide is None:
        _changed_seeds(tried, seeds, left, seed)
    elif left > 0:
        _guided(guide, tried, seeds, [f"-max_total_time={max(1, left):.0f}", f"-seed={seed}"], folder)
    os._exit(0)


def _first(tried: Callable[[bytes], None], seeds: Sequence[bytes], end: float, seed: int) -> None:
    """Tries the seeds, in another order each time: those of slow targets take longer than there is time."""
    for data in random.Random(seed).sample(seeds, len(seeds)):
        if time.monotonic() >= end:
            return
        tried(data)


def _atheris() -> Any:
    """The fuzzer that sees which code an input reaches, all of ours under its eyes; None where it is not installed."""
    try:
        import atheris
    except ImportError:
        return None
    with atheris.instrument_imports(include=["orchgate"]):
        for module in pkgutil.walk_packages(orchgate.__path__, "orchgate."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    return atheris


def _changed_seeds(tried: Tried, seeds: Sequence[bytes], seconds: float, seed: int) -> None:
    chance = random.Random(seed)
    pool = list(seeds)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        data = mutate.changed(chance.choice(pool), pool, chance)
        if chance.random() < 0.02:
            pool.append(data)
        tried(data)


def _guided(atheris: Any, tried: Tried, seeds: Sequence[bytes], options: list[str], folder: str) -> None:
    corpus = os.path.join(folder, "corpus")
    os.makedirs(corpus)
    for number, data in enumerate(seeds):
        with open(os.path.join(corpus, f"seed-{number}"), "wb") as file:
            file.write(data)

    def changed(data: bytes, max_size: int, seed: int) -> bytes:
        chance = random.Random(seed)
        if chance.random() < 0.3:
            return bytes(atheris.Mutate(data, max_size))
        return mutate.changed(data, seeds, chance)[:max_size]

    limits = (f"-max_len={mutate.LONGEST}", "-timeout=3600", "-rss_limit_mb=0", f"-artifact_prefix={folder}/")
    atheris.Setup(["fuzz", *options, *limits, corpus], tried, custom_mutator=changed)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], float(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
