"""What looking for secrets costs, and what it cries wolf over: `python bench/secret_scan.py FOLDER ...`.

Without a folder: the two figures on made-up logs, and on a text that is all near misses.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from common import Row, main

from orchgate.secrets import search

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MEGABYTE = 1_000_000
PATTERNS = search.compiled([])
LINE = b"2026-01-06T09:26:22.129Z INFO  worker-%d  task %d done in %d ms, https://example.com/a/%d?page=2 key=%d ok\n"


def rows() -> Iterator[Row]:
    log = b"".join(LINE % (n % 8, n, n % 977, n, n % 13) for n in range(700_000))
    first(log[:MEGABYTE])
    yield _speed("a log", log, 50)
    yield _speed("one long line", log.replace(b"\n", b" "), 50)
    yield _speed("random bytes", os.urandom(50 * MEGABYTE), 10)
    yield _speed("near misses only", b"password=changeme\n" * 290_000, 0.2)


def first(content: bytes) -> search.Match | None:
    return search.first(content, PATTERNS)


def _speed(what: str, content: bytes, least: float) -> Row:
    start = time.process_time()
    found = first(content)
    speed = len(content) / MEGABYTE / (time.process_time() - start)
    assert found is None, found
    name = f"secrets in {what}, {len(content) / MEGABYTE:.0f} MB"
    return Row(name, f"{speed:,.1f} MB/s", f"{least} MB/s", speed >= least)


def scan(folders: Sequence[str]) -> None:
    """Prints every find with its place, and what it took. Never what was found."""
    files = [path for folder in folders for path in _files(folder)]
    size, finds, start = 0, 0, time.process_time()
    for path in files:
        with open(path, "rb") as file:
            content = file.read()
        size += len(content)
        for match in dict.fromkeys(search.found(content, PATTERNS)):
            finds += 1
            sys.stdout.write(f"{match.place(path)}: {match.unseen or match.pattern}\n")
    seconds = time.process_time() - start
    megabytes = size / MEGABYTE
    sys.stdout.write(f"{len(files)} files, {megabytes:.1f} MB, {finds} finds, {megabytes / seconds:.1f} MB/s\n")


def _files(folder: str) -> Iterator[str]:
    """The files that git tracks there, or all of them where it tracks none."""
    command = ["git", "-C", folder, "ls-files", "-z"]
    tracked = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    names = [os.fsdecode(name) for name in tracked.split(b"\0") if name]
    for top, _, found in os.walk(folder) if not names else ():
        names += [os.path.relpath(os.path.join(top, name), folder) for name in found]
    paths = (os.path.join(folder, name) for name in names)
    return (path for path in paths if os.path.isfile(path) and not os.path.islink(path))


if __name__ == "__main__":
    scan(sys.argv[1:]) if sys.argv[1:] else main(rows)
