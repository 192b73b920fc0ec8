"""Records runs of small commands one by one: `python bench/accuracy/record_runs.py CONDITION FILE.jsonl [SECONDS]`.

Each round runs every workload twice, once with its work and once with 5 % more of it, in an order drawn anew. So
the runs of one command lie about half a second apart, and for each moment there is a run before and one after a
slow-down of 5 %, under the same load. `runs.py pack` makes the file that is kept of it.
"""

from __future__ import annotations

import json
import os
import random
import sys
import tempfile
import time

from record import SEED, UNITS, extra_units, measure
from streams import SCALES

PERCENT = 5


def record(condition: str, path: str, seconds: float) -> None:
    order = random.Random(SEED)
    end = time.monotonic() + seconds
    with tempfile.TemporaryDirectory(prefix="orchgate-accuracy-") as folder, open(path, "a", encoding="utf-8") as out:
        commands = {
            f"{workload}/{percent}": (workload, units)
            for workload in UNITS
            for percent, units in ((0, UNITS[workload]), (PERCENT, extra_units(workload, folder)[PERCENT]))
        }
        out.write(json.dumps({"condition": condition, "units": {name: units for name, (_, units) in commands.items()}}))
        out.write("\n")
        while time.monotonic() < end:
            runs = {}
            for name in order.sample(sorted(commands), len(commands)):
                found = measure(*commands[name], folder)
                runs[name] = [round(found[key] * scale) for key, scale in SCALES.items()]
            out.write(json.dumps({"load": round(os.getloadavg()[0], 1), "runs": runs}) + "\n")
            out.flush()


if __name__ == "__main__":
    record(sys.argv[1], sys.argv[2], float(sys.argv[3]) if len(sys.argv) > 3 else 600.0)
