"""How busy the machine is: for how long something waited for a CPU."""

from __future__ import annotations

_FILE = "/proc/pressure/cpu"


def waited() -> float | None:
    """Seconds since the machine began in which some process waited for a CPU; None where the kernel does not say.

    https://docs.kernel.org/accounting/psi.html
    """
    try:
        with open(_FILE, "rb") as file:
            line = file.readline(200)
        return int(line.partition(b"total=")[2]) / 1e6
    except (OSError, ValueError):
        return None
