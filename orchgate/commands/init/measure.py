"""`orchgate init --measure`: a pipeline that is measured before each push, of one command or the tests found here."""

from __future__ import annotations

import os
import tomllib

from orchgate.commands.init.edits import Edit
from orchgate.config.source import FILE
from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs import implementation_gate

if TYPE_CHECKING:
    from orchgate.config.settings import Config

PIPELINE = "tests"
_BLOCK = """
# Before each push, base and head run this in turn, each in a work tree of its own; what is slower is refused.
[[pipelines.{name}.stages]]
id = "{name}"
shell = {command}

[performance]
pipeline = "{name}"
max-seconds = 120                          # at most so long; less where the answer is plain
"""
_PYTEST = "python3 -m pytest -q"
_HAS_PYTEST = "import importlib.util, sys; sys.exit(importlib.util.find_spec('pytest') is None)"


def added(root: str, planned: Edit | str, config: Config, command: str) -> Edit | str:
    """The configuration with something to measure; as it is where it has that. Raises OrchgateError."""
    if config.performance.pipeline:
        return planned
    if isinstance(planned, str) and not os.path.isfile(os.path.join(root, FILE)):
        raise OrchgateError("the configuration is in pyproject.toml", "set performance.pipeline there, by hand")
    from orchgate.commands.init.edits import text

    edit = planned if isinstance(planned, Edit) else Edit(FILE, text(root, FILE), text(root, FILE))
    before = edit.after or ""
    known = tomllib.loads(before)
    if "performance" in known or PIPELINE in known.get("pipelines", {}):
        raise OrchgateError(
            f"{FILE} has [performance] or a pipeline {PIPELINE} already",
            f"name the pipeline under [performance] in {FILE}",
        )
    run = command or recognised(root)
    about = f"measured before each push: {run}"
    after = before.rstrip("\n") + "\n" + _BLOCK.format(name=PIPELINE, command=_quoted(run))
    return edit._replace(after=after, about=f"{edit.about}; {about}" if edit.about else about)


def recognised(root: str) -> str:
    """How the tests are run here, in a fresh work tree too. Raises OrchgateError when nothing says so."""
    found = implementation_gate.commands(implementation_gate.on_disk(root)).get("test", "")
    if not found:
        raise OrchgateError(
            "no tests are recognised here: no Makefile, package.json, pyproject.toml, go.mod or Cargo.toml with tests",
            'orchgate init --measure "./what-is-to-be-measured"',
        )
    if found == "pytest" or found.startswith("nox "):  # nox would make an environment for each measurement
        # What is installed lies elsewhere: the work tree's own code has to come first.
        return f"PYTHONPATH=src {_PYTEST}" if os.path.isdir(os.path.join(root, "src")) else _PYTEST
    return "go test -count=1 ./..." if found.startswith("go test") else found  # or its cache answers


def lacking(root: str) -> str:
    """What the tests that are recognised need and is not here, with what helps; "" where nothing is known to miss."""
    import shutil

    from orchgate.lib import process

    run = recognised(root)
    program = next(word for word in run.split() if "=" not in word)
    if not shutil.which(program):
        return f"there is no {program} on the PATH here: before a push it has to be"
    # Asked from elsewhere, so that no module of the repository is imported.
    if _PYTEST in run and process.run((program, "-c", _HAS_PYTEST), cwd=os.sep).code == 1:
        return "python3 finds no pytest here: activate the environment that has it before you push"
    return ""


def _quoted(command: str) -> str:
    import json  # its strings are TOML's

    return json.dumps(command, ensure_ascii=False)
