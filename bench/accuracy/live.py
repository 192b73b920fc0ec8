"""Decisions of the real program on this machine: `python bench/accuracy/live.py [OPTIONS]`, see `--help`.

Each is one `orchgate perf`, or one push through a real pre-push hook, of a repository whose head does so much more work
than its base: a Python loop whose command takes 0.12 s of CPU time, the interpreter's start included. Heads differ from
decision to decision in a file that costs nothing, so that none is answered from the record. Pushes are made twice: the
second one goes on with the pairs of the first.
"""

from __future__ import annotations

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

from common import ORCHGATE, commit, cost, environment, git, scratch, write  # noqa: E402
from perf import WORK, _calibrated  # noqa: E402
from record import neighbours  # noqa: E402
from table import share  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

CONFIG = """\
[performance]
pipeline = "bench"
max-seconds = {budget:g}
[[pipelines.bench.stages]]
id = "work"
run = ["{python}", "-S", "work.py"]
"""
HOOK = '#!/bin/sh\nexec "{orchgate}" hook pre-push "$@"\n'


class Decision(NamedTuple):
    """How one ended: in words, with the exit code, and the change of CPU time that was estimated, where it is known."""

    answer: str
    code: int
    seconds: float
    estimate: float | None = None


def by_perf(root: Path, budget: float) -> Decision:
    argv = [ORCHGATE, "perf", "--base", "main", "--max-time", f"{budget:g}", "--output-format", "json", "--"]
    done, seconds = timed([*argv, sys.executable, "-S", "work.py"], root)
    document = json.loads(done.stdout)
    cpu: dict[str, Any] = next((one for one in document["metrics"] if one["name"] == "cpu_seconds"), {})
    answer = cpu.get("answer", "cannot tell")
    if document["verdict"] == "fail":
        answer = "slower"
    return Decision(answer, done.returncode, seconds, cpu.get("estimate"))


def by_push(root: Path, _: float) -> Decision:
    # The hook runs all the same, and the remote stays as it is for the next one.
    done, seconds = timed(["git", "push", "--dry-run", "origin", "change"], root)
    said = done.stdout + done.stderr
    if done.returncode:
        answer = "slower" if "PRF001" in said else "failed"
    elif "probably slower" in said:
        answer = "probably slower"
    else:
        answer = "cannot tell" if "PRF004 (warning)" in said else "not slower"
    return Decision(answer, done.returncode, seconds)


def timed(argv: list[str], root: Path) -> tuple[subprocess.CompletedProcess[str], float]:
    start = time.perf_counter()
    kept = {"XDG_STATE_HOME": str(root / ".git" / "state"), "ORCHGATE_TREES": str(root / ".git" / "trees")}
    done = subprocess.run(argv, cwd=root, env={**environment(), **kept}, capture_output=True, text=True, check=False)
    return done, time.perf_counter() - start


def decisions(root: Path, options: argparse.Namespace, percent: int) -> Iterator[tuple[Decision, ...]]:
    """One for each head; of a push two, the second with what the first had measured."""
    for number in range(options.decisions):
        write(root, "note.txt", f"{percent} {number}\n")
        commit(root, "change")
        if options.through == "push":
            yield by_push(root, options.budget), by_push(root, options.budget)
        else:
            yield (by_perf(root, options.budget),)
        git(root, "reset", "--quiet", "--hard", "HEAD~1")


def main(options: argparse.Namespace) -> None:
    with scratch() as root:
        loops = _calibrated(root)
        write(root, "work.py", WORK.format(loops=loops))
        write(root, "orchgate.toml", CONFIG.format(budget=options.budget, python=sys.executable))
        commit(root, "base")
        whole = _whole(root)
        git(root, "init", "--quiet", "--bare", str(root / ".git" / "remote.git"))
        git(root, "remote", "add", "origin", str(root / ".git" / "remote.git"))
        git(root, "push", "--quiet", "origin", "main")
        git(root, "checkout", "--quiet", "-b", "change")
        hook = root / ".git" / "hooks" / "pre-push"
        hook.write_text(HOOK.format(orchgate=ORCHGATE))
        hook.chmod(0o755)
        beside = neighbours() if options.condition == "busy" else iter([None])
        for _ in beside:
            for percent in options.percent:
                # What grows is the whole command, not only its loop.
                write(root, "work.py", WORK.format(loops=round(loops * (1 + percent / 100 * whole))))
                if percent:
                    commit(root, f"{percent} % more work")
                report(options, percent, list(decisions(root, options, percent)))
                git(root, "reset", "--quiet", "--hard", "main")


def _whole(root: Path) -> float:
    """The command's CPU time by that of its loop."""
    whole = cost([sys.executable, "-S", "work.py"], root, 15).cpu
    start = cost([sys.executable, "-S", "-c", "0"], root, 15).cpu
    return whole / (whole - start)


def report(options: argparse.Namespace, percent: int, found: Sequence[tuple[Decision, ...]]) -> None:
    print(f"{options.condition}, through {options.through}, {percent} % more work, {options.budget:g} s")
    for number, some in enumerate(zip(*found, strict=True)):
        print(f"  push {number + 1}," if options.through == "push" else "  ", end=" ")
        for line in lines(some):
            print(line, flush=True)


def lines(some: Sequence[Decision]) -> Iterator[str]:
    answers, seconds = Counter(one.answer for one in some), [one.seconds for one in some]
    yield f"{len(some)} decisions: {', '.join(f'{name} {count}' for name, count in answers.most_common())}"
    refused, found = answers["slower"], answers["slower"] + answers["probably slower"]
    shares = (("refused", refused), ("refused or probably slower", found), ("passed", answers["not slower"]))
    yield "    " + ", ".join(f"{name} {share(count, len(some)).strip()}" for name, count in shares)
    yield f"    exit codes {dict(Counter(one.code for one in some))}; {independent(some)}"
    yield f"    median {statistics.median(seconds):.2f} s, longest {max(seconds):.1f} s"


def independent(some: Sequence[Decision]) -> str:
    """How many independent decisions so many that follow each other are worth, by their estimates' autocorrelation."""
    values = [one.estimate for one in some if one.estimate is not None]
    if len(values) < 8:
        return "too few estimates to say how independent they are"
    middle = statistics.fmean(values)
    spread = sum((value - middle) ** 2 for value in values)
    together = sum((one - middle) * (other - middle) for one, other in itertools.pairwise(values))
    rho = max(0.0, together / spread) if spread else 0.0
    return f"worth {len(values) * (1 - rho) / (1 + rho):.0f} independent ones"


def arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--condition", choices=("idle", "busy"), default="idle", help="busy: neighbours on every core")
    parser.add_argument("--through", choices=("perf", "push"), default="perf")
    parser.add_argument("--decisions", type=int, default=100, metavar="N", help="of each percentage (%(default)s)")
    parser.add_argument("--percent", type=int, nargs="+", default=[0, 5, 10], metavar="P", help="(0 5 10)")
    parser.add_argument("--budget", type=float, default=30.0, metavar="S", help="seconds (%(default)g)")
    return parser


if __name__ == "__main__":
    main(arguments().parse_args())
