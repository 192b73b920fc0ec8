"""Forks of this process that share out work on very many inputs."""

from __future__ import annotations

import os

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeVar

    Input = TypeVar("Input")
    Result = TypeVar("Result")

WORTH_IT = 1000  # inputs per process; below that, starting one costs more than it saves


def spread(
    work: Callable[[Sequence[Input]], Result], inputs: Sequence[Input], worth_it: int = WORTH_IT, most: int = 4
) -> list[Result]:
    """`work` applied to consecutive parts of the inputs, at least one. Results must be picklable.

    A part's exception is raised here, as it would be without processes. Raises OrchgateError when one was killed.
    """
    parts = _cut(inputs, max(1, min(cores(), most, len(inputs) // worth_it)))
    started: list[tuple[int, int]] = []
    try:
        started.extend(_start(work, part) for part in parts[1:])
        results = [work(parts[0])]
        while started:
            results.append(_collect(*started.pop(0)))
        return results
    finally:
        for reader, child in started:
            os.close(reader)
            os.waitpid(child, 0)


def shares(count: int) -> Callable[[], int | None]:
    """Hands out the numbers below `count` (at most 256), each once, to whichever process asks next; then None.

    Made before the processes part: they read from one pipe.
    """
    reader, writer = os.pipe()
    os.write(writer, bytes(range(count)))
    os.close(writer)

    def take() -> int | None:
        taken = os.read(reader, 1)
        return taken[0] if taken else None

    return take


def _cut(inputs: Sequence[Input], count: int) -> list[Sequence[Input]]:
    size = -(-len(inputs) // count)
    return [inputs[position * size : (position + 1) * size] for position in range(count)]


def cores() -> int:
    if not hasattr(os, "fork"):
        return 1
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _start(work: Callable[[Sequence[Input]], Any], part: Sequence[Input]) -> tuple[int, int]:
    """The pipe to read from and the process id. The child shares everything made so far and never returns."""
    reader, writer = os.pipe()
    child = os.fork()
    if child:
        os.close(writer)
        return reader, child
    try:
        os.close(reader)
        with open(writer, "wb") as stream:
            stream.write(_answer(work, part))
    finally:
        os._exit(0)  # no clean-up and no flushing: both belong to the parent


def _answer(work: Callable[[Sequence[Input]], Any], part: Sequence[Input]) -> bytes:
    import pickle

    try:
        return pickle.dumps((work(part), None))
    except BaseException as error:  # noqa: BLE001 -- raised again by the parent
        try:
            return pickle.dumps((None, error))
        except Exception:  # noqa: BLE001 -- an exception that cannot travel, told as text
            return pickle.dumps((None, OrchgateError(f"{type(error).__name__}: {error}")))


def _collect(reader: int, child: int) -> Any:
    import pickle

    with open(reader, "rb") as stream:
        data = stream.read()
    os.waitpid(child, 0)
    try:
        result, error = pickle.loads(data)  # noqa: S301 -- our own child wrote it, through a pipe nobody else holds
    except (EOFError, pickle.UnpicklingError):
        raise OrchgateError("a process that judged a part was killed", "run it again with more memory") from None
    if error is not None:
        raise error
    return result
