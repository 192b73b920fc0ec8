"""Budget totals of a real history against git's own numbers: python bench/history.py REPOSITORY [COMMITS]

Not part of the table of limits: it needs a repository with a history. Every first-parent commit is judged as a change.
"""

from __future__ import annotations

import os
import subprocess
import sys

from orchgate.checks.diff_budget import CHECK
from orchgate.gate import session
from orchgate.model import ScopeTarget

SHOWN = 10


def numstat(old: str, new: str) -> tuple[int, int] | None:
    """Files and lines that `git diff --numstat -M` counts; None where objects are missing here."""
    command = ["git", "-c", "diff.renameLimit=1000", "diff", "--numstat", "-z", "-M", old, new]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode != 0:
        return None
    files = lines = 0
    waiting = iter(done.stdout.split(b"\0"))
    for record in waiting:
        if record:
            added, removed, path = record.split(b"\t")
            files += 1
            lines += sum(int(number) for number in (added, removed) if number != b"-")
            if not path:  # a rename: both names follow
                next(waiting), next(waiting)
    return files, lines


def counted(old: str, new: str) -> tuple[int, int]:
    """Files and lines that the budget counts, ignored ones included."""
    with session.opened() as repository:
        outcome = CHECK.run(session.context(repository, ScopeTarget("range", new, old), {}))
    rows = [row for part in ("counted", "ignored") for row in outcome.facts[part]]  # type: ignore[attr-defined]
    return len(rows), sum(row["added"] + row["removed"] for row in rows)


def main() -> int:
    os.chdir(sys.argv[1])
    most = sys.argv[2] if len(sys.argv) > 2 else "895"
    listed = subprocess.run(
        ["git", "rev-list", "--first-parent", f"--max-count={most}", "HEAD"], capture_output=True, check=True, text=True
    )
    commits = listed.stdout.split()
    pairs = list(zip(commits[1:], commits, strict=False))
    expected = {pair: numstat(*pair) for pair in pairs}
    known = [pair for pair in pairs if expected[pair] is not None]
    different = [pair for pair in known if counted(*pair) != expected[pair]]
    for pair in different[:SHOWN]:
        print(f"{pair[1][:12]}: budget {counted(*pair)}, numstat {expected[pair]}")
    missing = len(pairs) - len(known)
    print(f"{len(known)} changes, {len(different)} with other totals than numstat; {missing} not whole here")
    return bool(different)


if __name__ == "__main__":
    sys.exit(main())
