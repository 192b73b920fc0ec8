"""What "did you mean" costs: a document with twenty broken links of one kind, with the hints and without them.

`python bench/hints.py [KIND]`. Both runs print the same findings; one of them looks for no hint.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import shapes
import staged
from common import (
    PYTHON,
    REAL,
    Bench,
    Row,
    costs,
    environment,
    git,
    instructions,
    main,
    missing,
    scratch,
    spread,
    write,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LINKS = 20
LIMIT = 1.1
ROUNDS = 15
NOTES = "docs/notes-of-the-benchmark.md"
# The console script, but that it makes so many hints at most.
SCRIPT = """
import sys
from orchgate.gate import suggestions
suggestions.MOST = int(sys.argv.pop(1))
from orchgate.cli import console
sys.exit(console())
"""
LETTERS = "abcdefghijklmnopqrstuvwxyz"


class Broken(NamedTuple):
    """A link, and the path that was meant; "" where there is none."""

    link: str
    meant: str


def _slip(kind: str, stem: str, chance: random.Random) -> str:
    at = chance.choice([at for at in range(3, len(stem) - 3) if stem[at] != stem[at + 1]])
    other = chance.choice([letter for letter in LETTERS if letter != stem[at]])
    slips = {
        "a letter missing": stem[at + 1 :],
        "a letter doubled": stem[at] + stem[at:],
        "two letters swapped": stem[at + 1] + stem[at] + stem[at + 2 :],
        "a wrong letter": other + stem[at + 1 :],
    }
    return stem[:at] + slips[kind]


SLIPS = ("a letter missing", "a letter doubled", "two letters swapped", "a wrong letter")
OTHERS = ("the wrong folder", "the wrong suffix", "another case", "a file that is nowhere")
KINDS = (*SLIPS, *OTHERS)


def _broken(kind: str, path: str, chance: random.Random) -> Broken:
    folder, _, name = path.rpartition("/")
    stem, _, suffix = name.rpartition(".")
    if kind in SLIPS:
        return Broken(f"{folder}/{_slip(kind, stem, chance)}.{suffix}", path)
    links = {
        "the wrong folder": f"tasks/{name}",
        "the wrong suffix": f"{folder}/{stem}.txt",
        "another case": f"{folder}/{stem.swapcase()}.{suffix}",
        "a file that is nowhere": f"{folder}/{''.join(chance.choices(LETTERS, k=40))}.{suffix}",
    }
    return Broken(links[kind], "" if kind == OTHERS[-1] else path)


def measured(root: Path, name: str, kinds: tuple[str, ...] = KINDS) -> Iterator[Row]:
    chance = random.Random(3)
    listed = subprocess.run(["git", "ls-files", "docs/*.md"], cwd=root, capture_output=True, check=True, text=True)
    paths = [path for path in listed.stdout.split() if path.count("/") == 1 and "benchmark" not in path]
    for kind in kinds:
        links = [_broken(kind, path, chance) for path in chance.sample(paths, LINKS)]
        write(root, NOTES, "# Notes\n\n" + "".join(f"- [a](/{one.link})\n" for one in links))
        git(root, "add", "--", NOTES)
        yield from _rows(root, f"check --staged, 20 links with {kind}, {name}", links)
    git(root, "rm", "-q", "-f", "--", NOTES)


def _rows(root: Path, what: str, links: list[Broken]) -> Iterator[Row]:
    ways = [[PYTHON, "-c", SCRIPT, most, "check", "--staged"] for most in ("0", str(LINKS))]
    plain, hinted = costs(ways, root, ROUNDS)
    assert (plain.code, hinted.code) == (1, 1), "the links must be refused"
    ratios = [one / other for one, other in zip(hinted.cpus, plain.cpus, strict=True)]
    ratio = sorted(ratios)[ROUNDS // 2]
    yield Row(f"{what}: CPU to no hints", spread(ratios, "x", 1), f"{LIMIT} x", ratio <= LIMIT)
    counted = [instructions(way, root) for way in ways]
    if counted[0] is None or counted[1] is None:
        yield missing("  instructions", "valgrind")
    else:
        yield Row("  instructions, git's own aside", f"{counted[1] / counted[0]:.3f} x of {counted[0] / 1e6:,.0f} M")
    meant = sum(bool(one.meant) for one in links)
    yield Row("  hints that name what was meant", f"{_right(root, links)} of {meant}")


def _right(root: Path, links: list[Broken]) -> int:
    argv = [PYTHON, "-m", "orchgate", "check", "--staged", "--output-format", "json"]
    done = subprocess.run(argv, cwd=root, env=environment(), stdout=subprocess.PIPE, check=False)
    hints = Counter(one["hint"] for one in json.loads(done.stdout)["diagnostics"] if one["path"] == NOTES)
    return sum(any(one.meant and one.meant in hint for hint in hints if hint) for one in links)


def made() -> Iterator[Row]:
    with scratch() as root:
        shapes.change(root, shapes.checked_out(root))
        yield from measured(root, "made repository", (*KINDS[:1], *OTHERS))


def real(clone: str = REAL, *kinds: str) -> Iterator[Row]:
    if not clone:
        yield missing("check --staged, 20 broken links, Kbediako/CO", "BENCH_REAL names no clone", f"{LIMIT} x")
        return
    with scratch() as root:
        staged.cloned(root, clone)
        yield from measured(root, "Kbediako/CO", kinds or KINDS)


BENCHES = (Bench("hints", made, limit=True), Bench("hints-real", real, limit=True))

if __name__ == "__main__":
    main(lambda: real(REAL, *sys.argv[1:]))
