"""`python -m orchgate`: the same as the console script, without the current folder on the import path."""

import sys

# `-m` puts the current folder first: a judged repository's own json.py would run inside the gate.
HERE = "" if sys.flags.safe_path else sys.path.pop(0)


def taken(folder: str) -> list[str]:
    """The modules that python itself took from a folder before our first line: nobody can keep it from that."""
    files = {name: getattr(module, "__file__", None) or "" for name, module in sys.modules.items()}
    starts = {name: (f"{folder}/{name}.", f"{folder}/{name}/__init__.") for name in files if name != "orchgate"}
    return sorted(name for name, start in starts.items() if files[name].startswith(start))


if HERE and (odd := taken(HERE)):
    sys.stderr.write(
        f"orchgate: python took its own {', '.join(odd)} from the current folder\n"
        f"  hint: {sys.executable} -P -m orchgate\n"
    )
    raise SystemExit(3)

from orchgate.cli import console  # noqa: E402 -- only now is the path safe

console()
