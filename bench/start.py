"""How long nothing takes: `orchgate --version` against `python -c pass`, every `--help`, and a tab."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from statistics import median
from typing import TYPE_CHECKING

from common import ORCHGATE, Row, cost, costs, git, instructions_row, main

if TYPE_CHECKING:
    from collections.abc import Iterator


def rows() -> Iterator[Row]:
    bare, version = costs([[sys.executable, "-c", "pass"], [ORCHGATE, "--version"]], times=21)
    ratio = median(one / other for one, other in zip(version.cpus, bare.cpus, strict=True))
    yield Row(
        "orchgate --version",
        f"{version.cpu * 1000:.0f} ms of CPU, {ratio:.2f} x python",
        "2 x python -c pass",
        ratio <= 2,
    )
    yield from _smallest_commit()
    yield from _helps()
    yield _tab()


def _smallest_commit() -> Iterator[Row]:
    """In a repository with one file, what a commit costs is what every start of the gate costs."""
    with tempfile.TemporaryDirectory() as folder:
        git(folder, "init", "-q")
        for text in ("# One\n", "# One\n\nTwo.\n"):
            with open(os.path.join(folder, "README.md"), "w") as file:
                file.write(text)
            git(folder, "add", "README.md")
            if "Two" not in text:
                git(folder, "-c", "user.name=a", "-c", "user.email=a@b.c", "commit", "-qm", "one")
        argv = [ORCHGATE, "check", "--staged"]
        bare, commit = costs([[sys.executable, "-c", "pass"], argv], folder, times=15)
        ratio = median(one / other for one, other in zip(commit.cpus, bare.cpus, strict=True))
        what = "check --staged, one file"
        yield Row(
            f"{what}: CPU, git's own included",
            f"{commit.cpu * 1000:.0f} ms, {ratio:.1f} x python",
            "70 ms",
            commit.cpu <= 0.07,
        )
        yield instructions_row(what, argv, folder)
        listed = [sys.executable, "-X", "importtime", "-P", "-m", "orchgate", *argv[1:]]
        lines = subprocess.run(listed, cwd=folder, capture_output=True, check=True).stderr.splitlines()
        names = [line.rpartition(b"|")[2].strip() for line in lines if line.startswith(b"import time:")]
        own = sum(name.startswith(b"orchgate") for name in names)
        yield Row(f"{what}: modules loaded", f"{own} of ours, {len(names) - own - 1} others")


def _helps() -> Iterator[Row]:
    """The dearest of them; CPU time, which other programs on the machine disturb less."""
    costs = {words: cost([ORCHGATE, *words.split(), "--help"], times=5).cpu for words in _command_lines()}
    dearest = max(costs, key=lambda words: costs[words])
    what = f"orchgate {dearest} --help".replace("  ", " ")
    yield Row(
        f"the dearest --help of {len(costs)}: {what}",
        f"{costs[dearest] * 1000:.0f} ms",
        "90 ms",
        costs[dearest] <= 0.09,
    )


def _command_lines() -> Iterator[str]:
    """Every command and every verb, as one types it; the first is none."""
    from orchgate import registry
    from orchgate.commands.shared.command_line import Parser, describe

    yield ""
    for name in registry.plugins("commands"):
        parser = Parser()
        describe(parser, registry.load("commands", name))
        yield name
        verbs = (action.choices for action in parser._actions if action.dest == "verb")  # noqa: SLF001 -- no other way
        yield from (f"{name} {verb}" for choices in verbs for verb in choices or ())


def _tab() -> Row:
    """bash, loaded once: what asks the repository, ten times."""
    printed = cost([ORCHGATE, "completion", "bash"], times=1)
    if printed.code != 0:
        return Row("a tab in bash", "no completions here: pip install .", "60 ms", None)
    script = f"""
        source <("{ORCHGATE}" completion bash)
        for ((round = 0; round < $1; round++)); do
            COMP_WORDS=(orchgate run tests --task 00) COMP_CWORD=4
            _orchgate_split
        done
    """
    here = os.path.dirname(os.path.abspath(__file__))
    none, ten = (cost(["bash", "--norc", "-c", script, "bash", str(times)], cwd=here) for times in (0, 10))
    wall = (ten.wall - none.wall) / 10
    return Row("a tab in bash, for a task", f"{wall * 1000:.0f} ms", "60 ms", wall <= 0.06)


if __name__ == "__main__":
    main(rows)
