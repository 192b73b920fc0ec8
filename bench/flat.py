"""How the commit path grows with the repository: the same five documents changed among more files, packets and pins.

`python bench/flat.py [WORD]`; WORD is a part of a row's name.
"""

from __future__ import annotations

import shutil
import sys
from functools import partial
from typing import TYPE_CHECKING, NamedTuple

import shapes
from common import (
    ORCHGATE,
    Bench,
    Cost,
    Row,
    costs,
    exponent,
    git,
    instructions,
    main,
    missing,
    own_memory,
    scratch,
    spread,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMAND = [ORCHGATE, "check", "--staged"]
BYTES, FLAT, ROUNDS = 40_000_000, 1.5, 9


class Size(NamedTuple):
    """A repository: how many files, packets and pinned artifacts it has."""

    files: int
    packets: int
    pins: int = 0


SMALL = Size(7_000, 1_000)
FILES = (SMALL, Size(70_000, 1_000), Size(300_000, 1_000))
PACKETS = (Size(70_000, 1_000), Size(70_000, 4_000), Size(150_000, 16_000))
PINS = (SMALL, Size(7_000, 1_000, 10_000), Size(7_000, 1_000, 100_000))
LARGE = Size(300_000, 16_000, 100_000)


class Measured(NamedTuple):
    """CPU of a check whose repository was judged before, of the first one, and after the list of tasks changed."""

    warm: Cost
    cold: Cost
    listed: Cost
    executed: int | None
    memory: int


def laid_out(root: Path, size: Size) -> list[str]:
    """Such a repository, with nothing on disk but what is changed."""
    made = shapes.orchestrator(root, size.packets, size.files, size.pins)
    git(root, "read-tree", "HEAD")
    live = [packet for packet in made if not packet.archived]
    kinds = ("prd", "plan", "checklist", "spec", "prd")
    paths = [live[len(live) * at // 6].documents[kind] for at, kind in enumerate(kinds, 1)]
    git(root, "checkout", "--quiet", "--", *paths, shapes.LIST, "orchgate.toml", "package.json")
    return paths


def measured(size: Size) -> Measured:
    with scratch() as root:
        changed = laid_out(root, size)
        again = partial(shapes.stage_a_line, root, changed)

        def anew() -> None:
            again()
            shutil.rmtree(root / ".git/orchgate", ignore_errors=True)

        def listed() -> None:
            """Another task, as the one before is committed."""
            git(root, "commit", "--quiet", "-m", "change")
            text = (root / shapes.LIST).read_text()
            at = text.index("{", text.index('"items"'))
            task = f'{{"id": "{len(text)}-added", "slug": "added-{len(text)}"}}, '
            (root / shapes.LIST).write_text(text[:at] + task + text[at:])
            git(root, "add", "--", shapes.LIST)
            again()

        (cold,) = costs([COMMAND], root, 3, anew)
        (warm,) = costs([COMMAND], root, ROUNDS, again)
        assert warm.code == 0, f"{size} was refused: that is another path"
        executed = instructions(COMMAND, root, again)
        memory = own_memory(COMMAND, root)
        (after,) = costs([COMMAND], root, 5, listed)
        return Measured(warm, cold, after, executed, memory)


def table(what: str, sizes: tuple[Size, ...], of: str) -> Iterator[Row]:
    """A row a size, and the exponent from the first to the last."""
    found = []
    for size in sizes:
        one = measured(size)
        found.append(one)
        executed = f", {one.executed / 1e6:,.0f} M instructions" if one.executed else ""
        name = f"check --staged, {size.files:,} files, {size.packets:,} packets, {size.pins:,} pins"
        more = f"first {one.cold.cpu * 1000:.0f} ms, list changed {one.listed.cpu * 1000:.0f} ms"
        yield Row(name, f"{spread(one.warm.cpus)}{executed}, {one.memory / 1e6:.0f} MB; {more}")
    grown = getattr(sizes[-1], of) / max(getattr(sizes[0], of), 1)
    first, last = found[0], found[-1]
    if first.executed and last.executed:
        ratio = last.executed / first.executed
        slope = exponent(first.executed, last.executed, grown)
        yield Row(f"  instructions by {what}", f"{ratio:.2f} x, exponent {slope:.2f}")
    else:
        yield missing(f"  instructions by {what}", "valgrind")
    ratio = last.warm.cpu / first.warm.cpu
    slope = exponent(first.warm.cpu, last.warm.cpu, grown)
    yield Row(f"  CPU by {what}", f"{ratio:.2f} x, exponent {slope:.2f}", f"{FLAT} x", ratio <= FLAT)
    most = max(one.memory for one in found)
    yield Row(f"  memory by {what}", f"{most / 1e6:.0f} MB", f"{BYTES / 1e6:.0f} MB", most <= BYTES)


def together() -> Iterator[Row]:
    small, large = measured(SMALL), measured(LARGE)
    ratio = large.warm.cpu / small.warm.cpu
    what = f"check --staged, {LARGE.files:,} files, {LARGE.packets:,} packets, {LARGE.pins:,} pins"
    yield Row(f"{what}: CPU", f"{spread(large.warm.cpus)}, {ratio:.2f} x of small", f"{FLAT} x", ratio <= FLAT)
    yield Row("  memory", f"{large.memory / 1e6:.0f} MB", f"{BYTES / 1e6:.0f} MB", large.memory <= BYTES)


BENCHES = (
    Bench("files", partial(table, "files", FILES, "files")),
    Bench("packets", partial(table, "packets", PACKETS, "packets")),
    Bench("pins", partial(table, "pins", PINS, "pins")),
    Bench("flat in files, packets and pins", together, limit=True),
)


def rows(word: str = "") -> Iterator[Row]:
    for bench in BENCHES:
        if word in bench.name:
            yield from bench.rows()


if __name__ == "__main__":
    main(partial(rows, *sys.argv[1:2]))
