"""Splits the command lines in documents into simple commands.

Not a shell: it reads quotes, continuation lines, here-documents, comments, operators and redirections. A word that a
shell would expand, or that is a placeholder (`<task-id>`, `...`), is not `literal`. An unclosed quote or substitution
takes the rest of the text, so that nothing is guessed about it. Every step moves forward: linear time.
"""

from __future__ import annotations

import posixpath
import re

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import NamedTuple

_BLANK = lazy(r"(?:[^\S\n]|\\\r?\n)+")  # every blank that ends a word, also those that shells do not split at
_COMMENT = lazy(r"#[^\n]*")
_PLACEHOLDER = lazy(r"<[A-Za-z](?:[^<>\n;&]{0,80}[^<>\n;&\s])?>")
_REDIRECT = lazy(r"&>>?|[0-9]{0,3}(?:<<<|<<-?|<>|<&|>>|>&|>\||<|>)")
_OPERATOR = lazy(r"&&|\|\||\|&|;;&?|;&|[;&|()\n]")
_PLAIN = lazy(r"[^\s'\"\\$`<>;&|()]+")
_SINGLE = lazy(r"'([^']*)'")
_IN_DOUBLE = lazy(r"[^\"\\$`]+")
_IN_SUBSTITUTION = lazy(r"[^()'\"\\]+|'[^']*+'|\"(?:[^\"\\]++|\\.)*+\"|\\.", re.DOTALL)
_VARIABLE = lazy(r"\$(?:\{[^{}\n]*\}|\w+|[@*#?!$-])?")
_EXPANDED = lazy(r"[*?\[\]{}~]|\.\.\.|…")
_ASSIGNMENT = lazy(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
LONGEST_PATH = 4096  # the limit of common systems
_LEADERS = frozenset({"if", "then", "elif", "else", "while", "until", "do", "!", "{", "}", "fi", "done", "esac"})
_NOT_STARTED = frozenset({"for", "case", "function", "[[", "[", "(("})


class ShellWord(NamedTuple):
    """One argument without its quotes. `literal`: a shell would leave it as it is."""

    text: str
    literal: bool = True


class ShellCommand(NamedTuple):
    """One simple command.

    offset      where it starts in the text it came from
    text        its source, from the first assignment to the last argument
    words       program and arguments
    env         names of the variables set for it alone
    fed         its standard input is a pipe, a file or a here-document
    captured    its standard output goes to a pipe or a file
    background  it is started with `&`
    folder      where it runs, relative to where the text starts; None: unknown
    """

    offset: int
    text: str
    words: tuple[ShellWord, ...]
    env: tuple[str, ...] = ()
    fed: bool = False
    captured: bool = False
    background: bool = False
    folder: str | None = ""

    @property
    def argv(self) -> tuple[str, ...]:
        return tuple(word.text for word in self.words)


def one_of(text: str) -> frozenset[str]:
    """Names or options, separated by blanks."""
    return frozenset(text.split())


def script(text: str, folder: str | None = "") -> tuple[list[ShellCommand], str | None]:
    """The simple commands of a script in order, and the folder it ends in."""
    reader = _Reader(text, folder)
    return reader.read(), reader.folder


class _Reader:
    """Reads a script once from left to right."""

    def __init__(self, text: str, folder: str | None) -> None:
        self._text = text
        self._at = 0
        self._found: list[ShellCommand] = []
        self._words: list[ShellWord] = []
        self._starts: list[int] = []
        self._end = 0
        self._fed = self._piped_in = self._captured = False
        self._heredocs: list[tuple[str, bool]] = []
        self.folder = folder
        self._outer: list[str | None] = []

    def read(self) -> list[ShellCommand]:
        text = self._text
        while self._at < len(text):
            if blank := _BLANK.match(text, self._at):
                self._at = blank.end()
            elif comment := _COMMENT.match(text, self._at):
                self._at = comment.end()
            elif _PLACEHOLDER.match(text, self._at):
                self._take_word()
            elif redirect := _REDIRECT.match(text, self._at):
                self._redirect(redirect)
            elif operator := _OPERATOR.match(text, self._at):
                self._at = operator.end()
                self._operator(operator[0])
            else:
                self._take_word()
        self._finish()
        return self._found

    def _take_word(self) -> None:
        self._starts.append(self._at)
        self._words.append(self._word())
        self._end = self._at

    def _redirect(self, match: re.Match[str]) -> None:
        sign = match[0].lstrip("0123456789")
        number = match[0].removesuffix(sign)
        self._at = match.end()
        self._skip_blanks()
        target = self._word().text if self._at < len(self._text) and self._text[self._at] not in ";&|()\n" else ""
        if sign in ("<<", "<<-"):
            self._heredocs.append((target, sign == "<<-"))
        if sign.startswith("<"):
            self._fed = True
        elif number in ("", "1") and sign != ">&":
            self._captured = True
        self._end = max(self._end, self._at)

    def _skip_blanks(self) -> None:
        if blank := _BLANK.match(self._text, self._at):
            self._at = blank.end()

    def _operator(self, sign: str) -> None:
        if sign == "(":
            self._drop()  # `name ()` declares a function
            self._outer.append(self.folder)
        elif sign == ")":
            if self._outer:
                self._finish()
                self.folder = self._outer.pop()
            else:
                self._drop()  # `pattern)` of a case
        else:
            self._captured = self._captured or (sign.startswith("|") and sign != "||")
            self._finish(background=sign == "&")
            self._piped_in = sign in ("|", "|&")
        if sign == "\n":
            self._skip_heredocs()

    def _skip_heredocs(self) -> None:
        for delimiter, tabs in self._heredocs:
            while self._at < len(self._text):
                end = self._text.find("\n", self._at)
                end = len(self._text) if end < 0 else end
                line = self._text[self._at : end].rstrip("\r")
                self._at = end + 1
                if (line.lstrip("\t") if tabs else line.strip()) == delimiter:
                    break
        self._heredocs.clear()

    def _drop(self) -> None:
        self._words.clear()
        self._starts.clear()
        self._fed = self._piped_in = self._captured = False

    def _finish(self, *, background: bool = False) -> None:
        """Ends a simple command: its keywords and assignments are set aside, `cd` moves the ones after it."""
        first = 0
        while first < len(self._words) and self._words[first].text in _LEADERS:
            first += 1
        program = first
        while program < len(self._words) and _ASSIGNMENT.match(self._words[program].text):
            program += 1
        words = tuple(self._words[program:])
        if words and words[0].text not in _NOT_STARTED:
            command = ShellCommand(
                self._starts[first],
                self._text[self._starts[first] : self._end],
                words,
                tuple(word.text.partition("=")[0].rstrip("+") for word in self._words[first:program]),
                self._fed or self._piped_in,
                self._captured,
                background,
                self.folder,
            )
            self._found.append(command)
            self.folder = _changed(command, self.folder)
        self._drop()

    def _word(self) -> ShellWord:
        """The word at the current place; ends at a blank or an operator."""
        parts: list[str] = []
        literal = True
        text = self._text
        while self._at < len(text):
            char = text[self._at]
            if plain := _PLAIN.match(text, self._at):
                parts.append(plain[0])
                literal = literal and not _EXPANDED.search(plain[0])
                self._at = plain.end()
            elif char == "\\" and not text.startswith(("\n", "\r\n"), self._at + 1):
                parts.append(text[self._at + 1 : self._at + 2])
                self._at += 2
            elif char == "'":
                parts.append(self._single())
            elif char == '"':
                inner, fixed = self._double()
                parts.append(inner)
                literal = literal and fixed
            elif char in "$`" or (char == "<" and _PLACEHOLDER.match(text, self._at)):
                parts.append(self._expansion())
                literal = False
            else:
                break
        return ShellWord("".join(parts), literal)

    def _single(self) -> str:
        quoted = _SINGLE.match(self._text, self._at)
        self._at = quoted.end() if quoted else len(self._text)
        return quoted[1] if quoted else ""

    def _double(self) -> tuple[str, bool]:
        parts: list[str] = []
        literal = True
        self._at += 1
        while self._at < len(self._text):
            char = self._text[self._at]
            if char == '"':
                self._at += 1
                return "".join(parts), literal
            if inner := _IN_DOUBLE.match(self._text, self._at):
                parts.append(inner[0])
                self._at = inner.end()
            elif char == "\\":
                parts.append(self._text[self._at + 1 : self._at + 2])
                self._at += 2
            else:
                parts.append(self._expansion())
                literal = False
        return "".join(parts), False

    def _expansion(self) -> str:
        """Moves over a variable, a substitution or a placeholder and returns its source."""
        start, text = self._at, self._text
        if placeholder := _PLACEHOLDER.match(text, start):
            self._at = placeholder.end()
        elif text[start] == "`":
            end = text.find("`", start + 1)
            self._at = len(text) if end < 0 else end + 1
        elif text.startswith("$(", start):
            self._at = _closing(text, start + 2)
        elif variable := _VARIABLE.match(text, start):
            self._at = variable.end()
        return text[start : self._at]


def _closing(text: str, at: int) -> int:
    """The place after the `)` that closes a substitution; the end of the text when nothing does."""
    depth = 1
    while at < len(text):
        if inner := _IN_SUBSTITUTION.match(text, at):
            at = inner.end()
            continue
        if text[at] not in "()":
            return len(text)  # an open quote
        depth += 1 if text[at] == "(" else -1
        at += 1
        if depth == 0:
            return at
    return len(text)


def _moves(command: ShellCommand) -> bool:
    return command.words[0].text in ("cd", "pushd", "popd")


def _changed(command: ShellCommand, folder: str | None) -> str | None:
    """The folder after a command."""
    if not _moves(command):
        return folder
    targets = [word for word in command.words[1:] if word.text not in ("--", "-P", "-L", "-q")]
    if command.words[0].text == "popd" or len(targets) != 1:
        return None
    if targets[0].text in ("$(git rev-parse --show-toplevel)", "`git rev-parse --show-toplevel`"):
        return ""
    return folder_from(folder, targets[0])


def folder_from(folder: str | None, target: ShellWord) -> str | None:
    """A folder relative to another; None when it is unknown or outside of where the text starts."""
    if folder is None or not target.literal or not target.text or target.text.startswith(("/", "-", "~")):
        return None
    path = posixpath.normpath(posixpath.join(folder, target.text))
    if len(path) > LONGEST_PATH:
        return None
    if path == ".":
        return ""
    return None if path == ".." or path.startswith("../") else path
