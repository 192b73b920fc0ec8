"""The tools that a stage starts, and what is known of each: by its package or installation, else by its digest."""

from __future__ import annotations

import os

from orchgate.lib.typed import TYPE_CHECKING
from orchgate.runs.used_tools import MOST, find
from orchgate.tools.reading import Launch, head

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orchgate.runs.used_tools import Environ, Facts, ProgramFile, UsedTools


def of_stage(argv: Sequence[str], shell: str, used: UsedTools, cwd: str, environ: Environ) -> list[Facts]:
    """The tools that a stage starts in a folder, as far as they can be told. No errors."""
    found: list[Facts] = []
    try:
        for tool in of_command(argv, shell, used, Launch(cwd, environ)):
            found.append(tool)
            if len(found) == MOST:
                break
    except (OSError, ValueError, RecursionError):
        pass  # of names that no file has, of folders that change meanwhile, of a line that is all brackets
    return found


def of_command(argv: Sequence[str], shell: str, used: UsedTools, at: Launch) -> Iterator[Facts]:
    """The tools that a command or a line for a shell starts. Raises OSError, ValueError, RecursionError."""
    if len(argv) == 1:  # nothing that starts something else
        if file := find(argv[0], at.cwd, at.folders):
            yield from of_program(os.path.basename(argv[0]), file, used, at)
        return
    from orchgate.tools.started import started

    for start in started(argv, shell, at.cwd, used.root, at.folders):
        if file := find(start.name, start.folder, start.folders):
            yield from of_program(os.path.basename(start.name), file, used, at._replace(cwd=start.folder))
            if start.module:
                from orchgate.tools.packages import of_module

                yield from of_module(start.module, file, used.root)


def of_program(name: str, file: ProgramFile, used: UsedTools, at: Launch) -> Iterator[Facts]:
    """What is known of a program, and of what it is run by. Raises OSError."""
    if asked := used.asked.get((name, file.real)):
        yield asked
        return
    try:
        is_script = head(file.real, 2) == b"#!"
    except OSError:  # it may be executed, and not be read
        return
    if is_script:
        from orchgate.tools.scripts import of_script

        yield from of_script(name, file, used, at, of_program)
    else:
        from orchgate.tools.installations import of_native

        yield from of_native(name, file, used)
