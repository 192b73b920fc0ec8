"""Goes through the commands of a document as whoever carries it out would, and says what stops them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import Unreadable
from orchgate.lib.globs import chosen
from orchgate.model import Finding, Location, Severity, Trouble
from orchgate.plan_commands.definitions import WORDS, Definitions
from orchgate.plan_commands.interactive import password, waits
from orchgate.plan_commands.requests import requests
from orchgate.plan_commands.steps import steps
from orchgate.plan_commands.waits import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orchgate.config.settings import Commands
    from orchgate.markdown.document import Document
    from orchgate.plan_commands.definitions import Missing
    from orchgate.plan_commands.requests import Request
    from orchgate.plan_commands.steps import Step

SHOWN = 60  # characters of a command in a message
READ = 2000  # characters of a command that are read for that, blanks among them
LISTED = 8  # names in a hint
PHRASE = 3  # so many names of which none exists are a sentence: `make task archiving proactive`


class Rehearsal:
    """One pass over documents. `commands` counts the steps, `troubles` are files that should have told, by path."""

    def __init__(self, settings: Commands, definitions: Definitions) -> None:
        self._settings = settings
        self._definitions = definitions
        self.commands = 0
        self.troubles: dict[str, Trouble] = {}

    def judge(self, document: Document) -> Iterator[Finding]:
        """What stops the commands of a document."""
        for step in steps(document, self._settings.sections):
            self.commands += 1
            if not self._allowed(step):
                place = document.location(step.offset)
                yield from self._waiting(place, step)
                yield from self._missing(place, step, lambda _: True)

    def lost(self, document: Document, gone: frozenset[tuple[str, str]]) -> Iterator[Finding]:
        """Which commands of a document name something of `gone`, as (kind, name), that is missing now."""
        for step in steps(document, self._settings.sections):
            self.commands += 1
            if not self._allowed(step):
                place = document.location(step.offset)
                yield from self._missing(place, step, lambda request: (request.kind, request.name) in gone)

    def _allowed(self, step: Step) -> bool:
        from fnmatch import fnmatchcase

        line = " ".join(step.command.text.split())
        return chosen(self._settings.allow, lambda glob: fnmatchcase(line, glob))

    def _waiting(self, place: Location, step: Step) -> Iterator[Finding]:
        wait = self._wait(step)
        if wait is not None:
            severity = None if wait.certain else Severity.WARNING
            yield Finding("CMD001", place, f"`{_shown(step)}` {wait.why}", wait.instead, severity)

    def _wait(self, step: Step) -> Wait | None:
        if step.mentioned:
            return None
        for started in step.started():
            if _listed(started.command.argv, self._settings.interactive):
                return Wait("is listed in commands.interactive", "use a command that asks nothing")
            if wait := waits(started, step.command):
                return wait
        return password(step.command)

    def _missing(self, place: Location, step: Step, wanted: Callable[[Request], bool]) -> Iterator[Finding]:
        for started in step.started():
            asked = requests(started)
            found = [missing for request in asked if (missing := self._look(request)) is not None]
            if len(found) >= PHRASE and len(found) == len(asked):
                continue
            for missing in found:
                if wanted(missing.request):
                    asked_for = (missing.request.kind, missing.file, missing.request.name) if missing.file else ()
                    yield Finding("CMD002", place, _message(step, missing), _hint(missing), sought=asked_for)

    def _look(self, request: Request) -> Missing | None:
        try:
            return self._definitions.missing(request)
        except Unreadable as error:
            self.troubles[error.path] = Trouble(Location(error.path), error.message, error.hint)
            return None


def _listed(argv: tuple[str, ...], programs: tuple[str, ...]) -> bool:
    """Whether a command starts with one of the configured programs, such as `make deploy`."""
    start = (argv[0].rpartition("/")[2], *argv[1:])
    return any(start[: len(words)] == words for words in (tuple(program.split()) for program in programs) if words)


def _message(step: Step, missing: Missing) -> str:
    request = missing.request
    if not missing.file:
        return f"`{_shown(step)}` needs a {missing.wanted_file}, and there is none"
    return f"`{_shown(step)}` names the {WORDS[request.kind]} {request.name}, which {missing.file} does not define"


def _hint(missing: Missing) -> str:
    if not missing.file:
        return f"add {missing.wanted_file}, or say in which folder the command runs"
    names = ", ".join(missing.known[:LISTED])
    more = f" and {len(missing.known) - LISTED} more" if len(missing.known) > LISTED else ""
    return f"it defines {names}{more}" if names else "it defines none"


def _shown(step: Step) -> str:
    text = step.command.text
    line = " ".join(text[:READ].replace("\\\n", " ").split())
    return line if len(line) <= SHOWN and len(text) <= READ else line[: SHOWN - 1] + "…"
