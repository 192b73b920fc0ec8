"""A terminal that is resized while a run goes on shows no line that is not true any more."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
from typing import TYPE_CHECKING

import pytest

from orchgate.commands.shared import lines
from tests.repo import ORCHGATE
from tests.runs import PATIENCE, TASK, Project

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.repo import Repo

pytestmark = pytest.mark.slow

_PIECE = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|\x1b.|[\r\n\x08]|[^\x1b\r\n\x08]+")


class Screen:
    """A terminal as far as our output needs one. `breaks`: lines that get too long for it go on in the next row."""

    def __init__(self, columns: int, *, breaks: bool) -> None:
        self.columns, self.breaks = columns, breaks
        self.rows: list[str] = [""]
        self.goes_on = [False]  # whether a row is the rest of the one above
        self.x = self.y = 0

    def feed(self, text: str) -> None:
        for piece in _PIECE.finditer(text):
            if piece[2]:
                self._control(piece[2], piece[1])
            elif piece[0] == "\r":
                self.x = 0
            elif piece[0] == "\n":
                self._down(goes_on=False)
            elif not piece[0].startswith("\x1b"):
                for letter in piece[0]:
                    self._put(letter)

    def _down(self, *, goes_on: bool) -> None:
        self.y += 1
        if self.y == len(self.rows):
            self.rows.append("")
            self.goes_on.append(goes_on)

    def _put(self, letter: str) -> None:
        if self.x == self.columns:
            self._down(goes_on=True)
            self.x = 0
        row = self.rows[self.y].ljust(self.x)
        self.rows[self.y] = row[: self.x] + letter + row[self.x + 1 :]
        self.x += 1

    def _control(self, letter: str, numbers: str) -> None:
        count = int(numbers) if numbers.isdecimal() else 0
        if letter in "AF":
            self.y = max(0, self.y - max(1, count))
            self.x = 0 if letter == "F" else self.x
        elif letter == "K":
            self.rows[self.y] = "" if count == 2 else self.rows[self.y][: self.x]
        elif letter == "J":
            del self.rows[self.y + 1 :], self.goes_on[self.y + 1 :]
            self.rows[self.y] = self.rows[self.y][: self.x]

    def resize(self, columns: int) -> None:
        self.columns = columns
        if not self.breaks:
            self.rows = [row[:columns] for row in self.rows]
            self.x = min(self.x, columns)
            return
        lines: list[str] = []
        cursor = (0, 0)
        for number, row in enumerate(self.rows):
            if not self.goes_on[number]:
                lines.append("")
            if number == self.y:
                cursor = (len(lines) - 1, len(lines[-1]) + self.x)
            lines[-1] += row
        self.rows, self.goes_on = [], []
        for number, line in enumerate(lines):
            if number == cursor[0]:
                wide = max(0, -(-cursor[1] // columns) - 1)
                self.y, self.x = len(self.rows) + wide, cursor[1] - wide * columns
            pieces = [line[start : start + columns] for start in range(0, len(line), columns)] or [""]
            self.rows += pieces
            self.goes_on += [bool(position) for position in range(len(pieces))]

    def text(self) -> str:
        return "\n".join(row.rstrip() for row in self.rows).strip()


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, argv: list[str], cwd: str, screen: Screen) -> None:
        self.screen = screen
        self.pid, self.descriptor = pty.fork()
        if not self.pid:
            self._size(0, screen.columns)
            os.chdir(cwd)
            os.environ |= {"TERM": "xterm-256color", "COLUMNS": "", "LINES": ""}
            del os.environ["COLUMNS"], os.environ["LINES"]
            os.execv(argv[0], argv)
        self.ended = False

    def _size(self, descriptor: int, columns: int) -> None:
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))

    def resize(self, columns: int) -> None:
        self._size(self.descriptor, columns)
        self.screen.resize(columns)
        os.kill(self.pid, signal.SIGWINCH)

    def read(self, until: Callable[[str], bool]) -> None:
        """Shows what comes until it says so, or ends."""
        came = ""
        while not self.ended and not until(came):
            assert select.select([self.descriptor], [], [], PATIENCE)[0], self.screen.text()
            data = b""
            with contextlib.suppress(OSError):  # the other end is closed
                data = os.read(self.descriptor, 65536)
            self.ended = not data
            came += data.decode("utf-8", "replace")
            self.screen.feed(data.decode("utf-8", "replace"))

    def close(self) -> int:
        os.close(self.descriptor)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def redrawn(came: str) -> bool:
    return came.count("a-stage-with-a-name") >= 2  # one may have been on its way


@pytest.mark.parametrize("breaks", [True, False], ids=["lines break", "lines are cut"])
def test_a_resize_leaves_no_stale_line(repo: Repo, breaks: bool) -> None:
    project = Project(repo)
    said = "what this stage says about itself is longer than a narrow terminal"
    project.define(
        "demo",
        {"id": "a-stage-with-a-name", "shell": f"echo {said}; until test -e go; do sleep 0.05; done"},
        {"id": "second", "run": ["true"], "needs": ["a-stage-with-a-name"]},
    )
    screen = Screen(80, breaks=breaks)
    terminal = Terminal([ORCHGATE, "run", "demo", "--task", TASK], str(project.root), screen)
    terminal.read(lambda came: said[:20] in came)
    for columns in (40, 120, 30, 80):
        terminal.resize(columns)
        terminal.read(redrawn)
    (project.root / "go").touch()
    terminal.read(lambda _: False)

    shown = screen.text()
    counts = [shown.count(word) for word in ("demo 2", "a-stage-with-a-name", "second", "manifest: ")]
    assert (terminal.close(), counts) == (0, [1, 1, 1, 1]), shown


@pytest.mark.parametrize(
    ("lengths", "columns", "rows"),
    [([], 80, 0), ([80, 0, 1], 80, 0), ([81], 80, 1), ([80, 120, 40], 40, 3), ([5], 0, 4)],
)
def test_lines_that_got_too_long_take_further_rows(lengths: list[int], columns: int, rows: int) -> None:
    assert lines.broken_rows(lengths, columns) == rows
