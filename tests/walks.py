"""Pages that are followed to the letter: their files are written, their commands run, their screens compared.

In a page, a block `console` holds commands behind `$ ` and what they print; a block with `title="FILE"` is a file to
write, or to lengthen where the title ends in `(at the end)`. A line `…` of a screen stands for any lines.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.DOTALL | re.MULTILINE)
AT_THE_END = " (at the end)"
LEFT_OUT = "…"
LOOSE = (  # what differs from machine to machine, and from run to run
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d(-\d\d-\d{3}Z-[0-9a-f]{8})?"), "RUN"),
    (re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?Z?|\b\d{4}-\d\d-\d\d\b"), "TIME"),
    (re.compile(r"(?<![\w-])[0-9a-f]{7,64}(?!\w)"), "ID"),
    (re.compile(r"SHA256:[A-Za-z0-9+/]{43}"), "KEY"),
    (re.compile(r"[+-]?[\d.,]+ ?(ms|s|min|bytes|B|kB|MiB|%)(?![\w])"), "AMOUNT"),
    (re.compile(r"[░▒▓█·╌.]{3,}"), "BAR"),
    (re.compile(r"[ \t]+"), " "),
)


class Command(NamedTuple):
    line: str
    screen: str


class Block(NamedTuple):
    start: int
    end: int
    language: str
    title: str
    text: str

    @property
    def commands(self) -> list[Command]:
        parts = re.split(r"^\$ ", self.text, flags=re.MULTILINE)[1:] if self.language == "console" else []
        return [Command(line, screen) for line, _, screen in (part.partition("\n") for part in parts)]


def blocks(page: str) -> list[Block]:
    return [Block(found.start(3), found.end(3), found[1], found[2] or "", found[3]) for found in BLOCK.finditer(page)]


def script(page: str) -> str:
    """The page as one script for bash; every command's output ends in a NUL."""
    lines = ["exec 2>&1 </dev/null"]
    for block in blocks(page):
        if block.title:
            path = shlex.quote(block.title.removesuffix(AT_THE_END))
            into = ">>" if block.title.endswith(AT_THE_END) else ">"
            lines.append(f"mkdir -p $(dirname {path}); cat {into} {path} <<'__END__'\n{block.text}__END__")
        lines += [f"{command.line}\nprintf '\\0'" for command in block.commands]
    return "\n".join(lines) + "\n"


def environment(home: Path) -> dict[str, str]:
    """That of somebody who has just installed git, Python and orchgate."""
    ours = ("GIT_", "PRE_COMMIT", "ORCHGATE_", "XDG_", "GITHUB_", "PYTEST")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(ours) and name != "CI"}
    settings = home / ".gitconfig"
    settings.write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
    path = os.pathsep.join([os.path.dirname(sys.executable), kept["PATH"]])
    return {**kept, "HOME": str(home), "PATH": path, "COLUMNS": "80", "TERM": "dumb", "LC_ALL": "C.UTF-8"}


def walk(page: str, folder: Path) -> list[str]:
    """What each command of the page prints, one after the other in one shell."""
    home, work = folder / "home", folder / "work"
    home.mkdir()
    work.mkdir()
    ran = subprocess.run(
        ["bash", "-c", script(page)],
        cwd=work,
        env=environment(home),
        stdout=subprocess.PIPE,
        timeout=600,
        check=False,
    )
    parts = ran.stdout.decode().split("\0")[:-1]
    return [part.replace(str(folder), "").lstrip("\n").replace("\t", "    ") for part in parts]


def rewritten(page: str, printed: list[str]) -> str:
    """The page with a screen in the place of each one that differs from it in more than ids and times."""
    waiting = iter(printed)
    new, position = [], 0
    for block in blocks(page):
        if commands := block.commands:
            new += [page[position : block.start], *(_block(command, next(waiting)) for command in commands)]
            position = block.end
    return "".join(new) + page[position:]


def _block(command: Command, printed: str) -> str:
    screen = command.screen if same(command.screen, printed) else printed
    return f"$ {command.line}\n{screen}"


def same(expected: str, printed: str) -> bool:
    wanted = _lines(expected)
    pattern = "".join(r"(?:.*\n)*?" if line.strip() == LEFT_OUT else re.escape(line) + r"\n" for line in wanted)
    return re.fullmatch(pattern, "".join(line + "\n" for line in _lines(printed))) is not None


def _lines(screen: str) -> list[str]:
    for pattern, word in LOOSE:
        screen = pattern.sub(word, screen)
    return [line.rstrip() for line in screen.splitlines() if line.strip()]
