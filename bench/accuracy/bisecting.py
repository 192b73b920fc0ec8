"""How often does a bisection find the right commit?

`python bench/accuracy/bisecting.py [TRIES]` searches simulated histories of 200 commits with one step of 10 %. All
pairs of runs in them were recorded (README.md): those of fast commits where both arms did the same work, those of slow
ones where head did 10 % more. `python bench/accuracy/bisecting.py real [TRIES]` lets the real program search
repositories of 200 commits whose command takes about 0.1 s, and 10 % more from one commit on.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from streams import everything
from table import share

from orchgate.bisect.search import Ask, BisectionEnding, How, Search
from orchgate.measures.declared import MetricKind
from orchgate.verdict.values import Metric, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from table import Tracks

COMMITS = 200
PERCENT = 10
SEED = 20261128
METRIC = Metric("cpu_seconds", MetricKind.TIME, 0.02, 0.01)
WORKLOADS = ("cpu", "files", "memory", "processes")
UNITS = 1200  # of arithmetic: about 0.1 s
ORCHGATE = os.path.join(os.path.dirname(sys.executable), "orchgate")


class Try(NamedTuple):
    """One search: what it ended in, whether the commit it names is the right one, and what it took."""

    how: str
    right: bool
    pairs: int
    commits: int
    seconds: float


def simulated(tracks: Tracks, workload: str, coins: random.Random) -> Try:
    """A history with its step anywhere, searched on recorded pairs."""
    first_slow = coins.randint(1, COMMITS)
    search = Search([True] * (COMMITS + 1), METRIC)
    asked: Ask | None = None
    while isinstance(ask := search.next(), Ask):
        if ask != asked:
            asked, pairs = ask, recorded(tracks, workload, coins, differs=ask.older < first_slow <= ask.newer)
        search.add(ask, next(pairs))
    return Try(ask.how.value, is_right(ask, first_slow), len(search.changes), visited(search), 0.0)


def recorded(tracks: Tracks, workload: str, coins: random.Random, *, differs: bool) -> Iterator[Pair]:
    """Pairs in a row, from a random one on; of two runs of the same work either may be the newer commit's."""
    track = tracks[workload, PERCENT if differs else 0]
    place = coins.randrange(len(track))
    while True:
        pair = track[place % len(track)]
        swapped = not differs and coins.random() < 0.5
        yield Pair(pair.head, pair.base, not pair.head_first) if swapped else pair
        place += 1


def is_right(ending: BisectionEnding, first_slow: int) -> bool:
    return (ending.how, ending.last) == (How.FOUND, first_slow)


def visited(search: Search) -> int:
    return len({change.newer for change in search.changes})


def real(number: int) -> Try:
    """A repository of 200 commits after the first, searched by the program itself."""
    first_slow = random.Random(SEED + number).randint(1, COMMITS)
    with tempfile.TemporaryDirectory() as folder:
        root = os.path.join(folder, "repo")
        commits = history(root, first_slow)
        begun = time.monotonic()
        command = [ORCHGATE, "bisect", "--good", commits[0], "--bad", commits[-1], "--output-format", "json"]
        environ = {**os.environ, "ORCHGATE_TREES": os.path.join(folder, "trees")}
        completed = subprocess.run(
            [*command, "--", sys.executable, "-S", "work.py"], cwd=root, capture_output=True, env=environ, check=False
        )
        seconds = time.monotonic() - begun
    found = json.loads(completed.stdout)
    right = (found["first_slower"] or {}).get("commit") == commits[first_slow]
    return Try(found["outcome"], right, found["pair_count"], len(found["measured"]), seconds)


def history(root: str, first_slow: int) -> list[str]:
    """The ids of the commits of a new repository."""
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@example.org", "-C", root]
    os.makedirs(root)
    subprocess.run([*git, "init", "--quiet", "--template="], check=True)
    for number in range(COMMITS + 1):
        units = UNITS * (100 + PERCENT * (number >= first_slow)) // 100
        files = {"work.py": WORK.format(units=units), "notes.txt": f"change {number}\n"}
        write(root, files)
        subprocess.run([*git, "add", "--all"], check=True)
        subprocess.run([*git, "commit", "--quiet", "-m", f"change {number}"], check=True)
    listed = subprocess.run([*git, "rev-list", "--reverse", "HEAD"], capture_output=True, text=True, check=True)
    return listed.stdout.split()


WORK = "total = 0\nfor unit in range({units}):\n    for number in range(1000):\n        total += number * unit & 0xFF\n"


def write(root: str, files: Mapping[str, str]) -> None:
    for name, content in files.items():
        with open(os.path.join(root, name), "w", encoding="utf-8") as file:
            file.write(content)


def report(title: str, tries: Sequence[Try]) -> None:
    right = sum(one.right for one in tries)
    wrong = sum(one.how == How.FOUND.value and not one.right for one in tries)
    others = Counter(one.how for one in tries if one.how != How.FOUND.value)
    pairs = sorted(one.pairs for one in tries)
    print(f"{title:<16} right {share(right, len(tries))}, wrong {share(wrong, len(tries))}, undecided {dict(others)}")
    print(
        f"{'':<16} pairs: median {median(pairs):.0f}, most {pairs[-1]}; "
        f"commits measured: median {median(one.commits for one in tries):.0f}"
    )
    if any(one.seconds for one in tries):
        print(f"{'':<16} seconds: median {median(one.seconds for one in tries):.0f}", end=", ")
        print(f"most {max(one.seconds for one in tries):.0f}; load {os.getloadavg()[0]:.1f}")


def simulate(tries: int) -> None:
    """So many histories in all for each condition, the workloads in turn."""
    for condition in ("idle", "busy"):
        tracks: Tracks = {}
        for stream in everything():
            if stream.condition == condition:
                tracks.setdefault((stream.workload, stream.percent), []).extend(stream.pairs)
        coins, found = random.Random(SEED), dict[str, list[Try]]()
        for number in range(tries):
            workload = WORKLOADS[number % len(WORKLOADS)]
            found.setdefault(workload, []).append(simulated(tracks, workload, coins))
        report(condition, [one for some in found.values() for one in some])
        for workload, some in found.items():
            report(f"  {workload}", some)


def main(*args: str) -> None:
    if args[:1] == ("real",):
        tries = []
        for number in range(int(args[1]) if len(args) > 1 else 10):
            tries.append(real(number))
            print(tries[-1], flush=True)
        report("real", tries)
    else:
        simulate(int(args[0]) if args else 100)


if __name__ == "__main__":
    main(*sys.argv[1:])
