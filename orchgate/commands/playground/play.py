"""What is seen of `orchgate try`: commands as they were typed, what they printed, and what came of it."""

from __future__ import annotations

import os
import re
import sys
import textwrap

from orchgate.errors import OrchgateError
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from orchgate.commands.playground.scratch import Scratch

_INDENT = "   "
UNDECIDED = b"PRF004"


class Play(NamedTuple):
    """A repository, and whether what happens in it is shown.

    What is not shown only prepares what comes later: nothing is judged or measured, what should not land is left out.
    """

    scratch: Scratch
    seen: bool = True
    columns: int = 80

    def say(self, text: str) -> None:
        if self.seen:
            tell(_wrapped(_INDENT + text, self.columns))

    def do(self, command: Sequence[str], *, shown: Sequence[str] = (), keep: str = "", cwd: str = "") -> str:
        """Runs what has to succeed. Of its lines, those in which `keep` is found are shown; … stands for the others."""
        completed = self.scratch.run(*command, cwd=cwd)
        if completed.code != 0:
            said = os.fsdecode(completed.stderr).strip()[-500:]
            raise OrchgateError(f"{' '.join(command)[:200]} failed with {completed.code}: {said}")
        self._show(shown or command, completed.stdout, keep)
        return os.fsdecode(completed.stdout)

    def only_shown(self, command: Sequence[str], *, cwd: str = "") -> None:
        """What later steps do not need."""
        if self.seen:
            self.do(command, cwd=cwd)

    def prepare(self, *command: str) -> None:
        """What nobody has to see."""
        self._replace(seen=False).do(command)

    def commit(self, message: str, *, lands: bool = True) -> None:
        self.prepare("git", "add", "--all")
        self.attempt(("git", "commit", "-qm", message), lands=lands)

    def attempt(self, command: Sequence[str], *, lands: bool, undecided: bool = False, keep: str = "") -> None:
        """A commit or a push that should land or be refused; `undecided`: or land because nobody could tell.

        Raises OrchgateError when it ends in another way.
        """
        if not self.seen:
            if lands:
                self.prepare(*command, "--no-verify")
            return
        completed = self.scratch.run(*command)
        # git's own complaint below says nothing new, and names the folder.
        said = re.sub(rb"(?m)^error: failed to push .*\n?", b"", completed.stderr) + completed.stdout
        self._show(command, said, keep)
        if undecided and completed.code == 0 and UNDECIDED in said:
            self.say("=> landed, with a warning: this machine was too noisy to decide")
        elif (completed.code == 0) == lands and completed.code in {0, 1}:
            self.say("=> landed" if lands else "=> refused")
        else:
            raise OrchgateError(
                f"{' '.join(command)} should have {'landed' if lands else 'been refused'}; exit code {completed.code}",
                f"please report this with the output above; the folder is {self.scratch.root}",
            )

    def asked(self, command: Sequence[str], keep: str) -> str:
        """What a command prints on a terminal, whatever its exit code."""
        completed = self.scratch.on_screen(*command)
        self._show(command, completed.stdout or completed.stderr, keep)
        return os.fsdecode(completed.stdout)

    def _show(self, command: Sequence[str], printed: bytes, keep: str = "") -> None:
        if not self.seen:
            return
        tell(_typed(command, self.columns))
        for line in _kept(os.fsdecode(printed), keep):
            tell(_wrapped(f"{_INDENT} {escape(line)}", self.columns))


def _kept(printed: str, keep: str) -> Iterator[str]:
    left_out = wanted = False
    for line in printed.splitlines():
        # What a long line goes on with is wanted as it is.
        wanted = bool(re.search(keep, line)) or (wanted and line.startswith("    "))
        if line.strip() and wanted:
            yield line
            left_out = False
        elif line.strip() and not left_out:
            yield "…"
            left_out = True


def tell(lines: Iterable[str]) -> None:
    sys.stdout.writelines(line + "\n" for line in lines)
    sys.stdout.flush()


def _typed(command: Sequence[str], columns: int) -> Iterator[str]:
    """A command line; broken between words, so that the lines work when they are pasted."""
    line = _INDENT + "$"
    for word in command:
        shown = escape(f'"{word}"' if " " in word else word)
        if len(line) + len(shown) + 3 > columns:
            yield line + " \\"
            line = _INDENT + " "
        line += " " + shown
    yield line


def _wrapped(line: str, columns: int) -> list[str]:
    """As a terminal would, but between words and below where the line began."""
    indent = " " * (len(line) - len(line.lstrip()) + 2)
    return textwrap.wrap(
        line,
        columns,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
        replace_whitespace=False,
    ) or [""]
