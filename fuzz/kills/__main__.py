"""`python -m fuzz.kills [--kills N] [--only VERB,…]`: the verbs that write under fire, and a table at the end."""

from __future__ import annotations

import argparse
import collections
import concurrent.futures
import json
import os
import signal
import sys
import tempfile
from typing import TYPE_CHECKING

from fuzz.kills import plan, verbs
from fuzz.worker import MEMORY

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from fuzz.kills.trials import Trial
    from fuzz.kills.verbs import Room, Verb

FOUND = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "findings", "kills.jsonl")


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m fuzz.kills", description="kill every verb that writes")
    parser.add_argument("--kills", type=int, default=1000, help="spread over the verbs (%(default)s)")
    parser.add_argument("--failures", type=int, default=300, help="system calls that fail (%(default)s)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=1, help="trials at a time (%(default)s)")
    parser.add_argument("--only", default="", metavar="VERB,…", help=", ".join(verbs.BY_NAME))
    parser.add_argument("--ways", default=",".join(plan.WAYS), help="(%(default)s)")
    args = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what is mounted is taken away again
    chosen = [verbs.BY_NAME[name] for name in args.only.split(",") if name] or list(verbs.VERBS)
    wanted = plan.Wanted(
        args.kills // len(chosen), args.failures // len(chosen), tuple(args.ways.split(",")), seed=args.seed
    )
    with tempfile.TemporaryDirectory(prefix="orchgate-kills-", dir=MEMORY) as folder:
        world = verbs.build(os.path.join(folder, "world"))
        trials = list(_told(_all(world, folder, chosen, wanted, args.jobs)))
    show(trials)
    return int(any(trial.complaints for trial in trials))


def _all(world: Room, folder: str, chosen: Sequence[Verb], wanted: plan.Wanted, jobs: int) -> Iterator[Trial]:
    """So many trials at a time; all verbs at once at the end, on their own."""
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for verb in chosen:
            yield from filter(None, pool.map(lambda one: one(), plan.trials(world, folder, verb, wanted)))
    if "mixed" in wanted.ways:
        yield plan.mixed(world, folder)


def _told(trials: Iterable[Trial]) -> Iterable[Trial]:
    os.makedirs(os.path.dirname(FOUND), exist_ok=True)
    with open(FOUND, "a", encoding="utf-8") as file:
        for trial in trials:
            if trial.complaints:
                file.write(json.dumps(trial._asdict()) + "\n")
                file.flush()
                print(f"{trial.verb}: {trial.way}: {trial.what}", *trial.complaints, sep="\n    ", flush=True)
            yield trial


def show(trials: list[Trial]) -> None:
    """Verb and way, how often, how often it came in time, and after how many something was wrong."""
    rows: dict[tuple[str, str], collections.Counter[str]] = {}
    for trial in trials:
        row = rows.setdefault((trial.verb, trial.way), collections.Counter())
        row.update({"tried": 1, "landed": trial.landed, "failed": bool(trial.complaints)})
    print(f"{'verb':18} {'way':10} {'tried':>6} {'landed':>6} {'failed':>6}")
    for (verb, way), row in rows.items():
        print(f"{verb:18} {way:10} {row['tried']:6} {row['landed']:6} {row['failed']:6}")
    total = collections.Counter[str]()
    for row in rows.values():
        total.update(row)
    print(f"{'all':18} {'':10} {total['tried']:6} {total['landed']:6} {total['failed']:6}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
