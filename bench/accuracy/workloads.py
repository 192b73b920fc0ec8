"""Four small commands that do a given number of units of work: what the accuracy of a verdict is measured on.

`python workloads.py NAME UNITS`. A slow-down is injected as more units, so that it is real work and not a delay.
"""

from __future__ import annotations

import os
import sys
import tempfile

BLOCK = 128 * 1024


def cpu(units: int) -> None:
    """Arithmetic in the interpreter."""
    total = 0
    for unit in range(units):
        for number in range(400):
            total += number * unit & 0xFF


def files(units: int) -> None:
    """Many small files, written and read. A few names serve again and again: else the file system itself slows down."""
    with tempfile.TemporaryDirectory() as folder:
        for unit in range(units):
            path = os.path.join(folder, f"{unit % 32}.txt")
            with open(path, "wb") as file:
                file.write(b"x" * 2048)
            with open(path, "rb") as file:
                file.read()


def processes(units: int) -> None:
    """Programs that start and end at once."""
    for _ in range(units):
        os.waitpid(os.posix_spawn("/bin/true", ["true"], {}), 0)


def memory(units: int) -> None:
    """Blocks of memory that are touched and kept."""
    _ = [bytearray(os.urandom(16)) * (BLOCK // 16) for _ in range(units)]


WORKLOADS = {"cpu": cpu, "files": files, "processes": processes, "memory": memory}

if __name__ == "__main__":
    WORKLOADS[sys.argv[1]](int(sys.argv[2]))
