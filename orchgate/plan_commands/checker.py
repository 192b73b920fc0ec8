"""What would stop the commands of a plan: the commands in its step sections, and what each waits for or lacks.

A fenced block that names a shell is a script. A block without a language, and a code span, may just as well be output
or a phrase, so they count only where they start like a command; a sentence that says not to run one is not a step.
"""

from __future__ import annotations

import re
from bisect import bisect_right

from orchgate.errors import Unreadable
from orchgate.lib.lazy import lazy
from orchgate.lib.paths import chosen
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol
from orchgate.model import Finding, Location, Severity, Trouble
from orchgate.packets.sections import ranges_titled
from orchgate.plan_commands import interactive
from orchgate.plan_commands.definitions import WORDS, Definitions
from orchgate.plan_commands.interactive import password, why_it_waits
from orchgate.plan_commands.requested_names import PROGRAMS, WRAPPERS, requested_names, started_programs
from orchgate.plan_commands.shell import one_of, script
from orchgate.plan_commands.waiting_programs import Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from orchgate.markdown.document import Document
    from orchgate.markdown.parts import CodeSpan, Fence
    from orchgate.plan_commands.definitions import MissingName
    from orchgate.plan_commands.requested_names import RequestedName, StartedProgram
    from orchgate.plan_commands.shell import ShellCommand

SHOWN = 60  # characters of a command in a message
READ = 2000  # characters of a command that are read for that, with blanks
LISTED = 8  # names in a hint
PHRASE = 3  # this many names, none of which exists, are a sentence: `make task archiving proactive`


class Settings(Protocol):
    """What is configured: sections to look into, more programs that ask, and globs of what is fine."""

    @property
    def sections(self) -> tuple[str, ...]: ...
    @property
    def interactive(self) -> tuple[str, ...]: ...
    @property
    def allow(self) -> tuple[str, ...]: ...


class CommandChecker:
    """One pass over documents. `commands` counts the steps, `troubles` are files that cannot be read, by path."""

    def __init__(self, settings: Settings, definitions: Definitions) -> None:
        self._settings = settings
        self._definitions = definitions
        self.commands = 0
        self.troubles: dict[str, Trouble] = {}

    def findings(self, document: Document) -> Iterator[Finding]:
        """Findings about what would stop the commands of a document."""
        for step in steps(document, self._settings.sections):
            self.commands += 1
            if not self._allowed(step):
                place = document.location(step.offset)
                yield from self._waiting(place, step)
                yield from self._missing(place, step, lambda _: True)

    def findings_about_removed(self, document: Document, gone: frozenset[tuple[str, str]]) -> Iterator[Finding]:
        """Findings about commands that use one of the names in `gone`, as (kind, name), that are missing now."""
        for step in steps(document, self._settings.sections):
            self.commands += 1
            if not self._allowed(step):
                place = document.location(step.offset)
                yield from self._missing(place, step, lambda request: (request.kind, request.name) in gone)

    def _allowed(self, step: PlanStep) -> bool:
        from fnmatch import fnmatchcase

        line = " ".join(step.command.text.split())
        return chosen(self._settings.allow, lambda glob: fnmatchcase(line, glob))

    def _waiting(self, place: Location, step: PlanStep) -> Iterator[Finding]:
        wait = self._wait(step)
        if wait is not None:
            severity = None if wait.certain else Severity.WARNING
            yield Finding("CMD001", place, f"`{_shown(step)}` {wait.why}", wait.instead, severity)

    def _wait(self, step: PlanStep) -> Wait | None:
        if step.mentioned:
            return None
        for program in step.started_programs():
            if _listed(program.command.argv, self._settings.interactive):
                return Wait("is listed in commands.interactive", "use a command that does not ask questions")
            if wait := why_it_waits(program, step.command):
                return wait
        return password(step.command)

    def _missing(self, place: Location, step: PlanStep, wanted: Callable[[RequestedName], bool]) -> Iterator[Finding]:
        for program in step.started_programs():
            asked = requested_names(program)
            found = [missing for request in asked if (missing := self._look(request)) is not None]
            if len(found) >= PHRASE and len(found) == len(asked):
                continue
            for missing in found:
                if wanted(missing.request):
                    asked_for = (missing.request.kind, missing.file, missing.request.name) if missing.file else ()
                    yield Finding("CMD002", place, _message(step, missing), _hint(missing), sought=asked_for)

    def _look(self, request: RequestedName) -> MissingName | None:
        try:
            return self._definitions.missing(request)
        except Unreadable as error:
            self.troubles[error.path] = Trouble(Location(error.path), error.message, error.hint)
            return None


def _listed(argv: tuple[str, ...], programs: tuple[str, ...]) -> bool:
    """Whether a command starts with one of the configured programs, such as `make deploy`."""
    start = (argv[0].rpartition("/")[2], *argv[1:])
    return any(start[: len(words)] == words for words in (tuple(program.split()) for program in programs) if words)


def _message(step: PlanStep, missing: MissingName) -> str:
    request = missing.request
    if not missing.file:
        return f"`{_shown(step)}` needs a {missing.wanted_file}, but there is none"
    return f"`{_shown(step)}` names the {WORDS[request.kind]} {request.name}, which {missing.file} does not define"


def _hint(missing: MissingName) -> str:
    if not missing.file:
        return f"add {missing.wanted_file}, or state the directory that the command runs in"
    names = ", ".join(missing.known[:LISTED])
    more = f" and {len(missing.known) - LISTED} more" if len(missing.known) > LISTED else ""
    return f"{missing.file} defines {names}{more}" if names else f"{missing.file} defines none"


def _shown(step: PlanStep) -> str:
    text = step.command.text
    line = " ".join(text[:READ].replace("\\\n", " ").split())
    return line if len(line) <= SHOWN and len(text) <= READ else line[: SHOWN - 1] + "…"


TOOLS = one_of(
    "awk bash cargo cat cd cmake cp curl deno docker-compose echo env export find git go gradle grep jq ls "
    "mkdir mkdocs mv mvn mypy node perl pip printf pytest python python3 rg rm ruby ruff sed sh sort source "
    "tee touch tox tsc vitest wget"
)
# Words that make a line a sentence, however it starts: `make sure the build passes`.
_PROSE = one_of(
    "a an the this that these those is are was be been it its of to for and or with without sure only than "
    "then into all you your we our not if when which must should can will"
)
_NOT_A_STEP = lazy(
    r"\b(?:no|not|never|avoid\w*|don['\u2019]t|doesn['\u2019]t|cannot|can['\u2019]t|instead of|rather than"
    r"|without|unlike|add(?:s|ed|ing)?|creat(?:e|es|ed|ing)|introduc\w+|implement(?:s|ed|ing)?|new|propos\w+|planned|future"
    r"|renam\w+|remov\w+|delet\w+|dropp?\w*|replac\w+|deprecat\w+|retir\w+|missing|formerly|previously|legacy|old)\b",
    re.IGNORECASE,
)
_SAYS_TO_RUN = lazy(
    r"(?:\b(?:run|runs|running|rerun|re-run|execute|start|call|type|enter|invoke)|[:>])\s*[*_]*$", re.IGNORECASE
)
_SENTENCE_END = lazy(r"[.;!?:]\s|\n")
_MENTION = lazy(r"[a-z][a-z-]*|--?[A-Za-z][A-Za-z-]*")
_PATHLIKE = lazy(r"-|.*[/.]")
LOOK_BACK = 160  # characters of a sentence that are read before a code span
LONGEST_INDENT = 1000  # characters that a line of a block may have lost


class PlanStep(NamedTuple):
    """One command of a document. `mentioned`: it is part of a sentence and may be only a name."""

    command: ShellCommand
    offset: int
    mentioned: bool = False

    def started_programs(self) -> Iterator[StartedProgram]:
        return started_programs(self.command)


def steps(document: Document, titles: Iterable[str]) -> Iterator[PlanStep]:
    """The commands of the sections with one of the titles, in the order of the document."""
    ranges = ranges_titled(document, titles)
    if not ranges:
        return
    found = [*_fenced(document, ranges), *_inline(document, ranges)]
    yield from sorted(found, key=lambda step: step.offset)


def _within(ranges: list[tuple[int, int]], offset: int) -> int | None:
    """Which of the ranges holds an offset."""
    index = bisect_right(ranges, offset, key=lambda start_end: start_end[0]) - 1
    return index if index >= 0 and offset < ranges[index][1] else None


def _fenced(document: Document, ranges: list[tuple[int, int]]) -> Iterator[PlanStep]:
    folders: dict[int, str | None] = {}
    for fence in document.fences:
        section = _within(ranges, fence.offset)
        if section is None:
            continue
        folder = folders.get(section, "")
        found, after = _block(fence, folder)
        yield from _placed(document, fence, found)
        # Nothing says whether the next block starts in the folder where this one ended.
        folders[section] = folder if after == folder else None


def _block(fence: Fence, folder: str | None) -> tuple[list[ShellCommand], str | None]:
    name = language(fence.info)
    if is_shell(name):
        return fence_commands(fence.text, folder)
    if name and not (name in ("text", "txt", "plain") and has_prompts(fence.text)):
        return [], folder
    found, after = fence_commands(fence.text, folder)
    if has_prompts(fence.text):
        return found, after
    return [command for command in found if len(command.words) > 1 and starts_like_a_command(command)], after


def _placed(document: Document, fence: Fence, found: list[ShellCommand]) -> Iterator[PlanStep]:
    """A block's commands, in order, with their offsets in the document, whatever indentation the block lost."""
    at = document.text.find("\n", fence.offset) + 1
    line = seen = 0
    for command in found:
        for _ in range(fence.text.count("\n", seen, command.offset)):
            at = document.text.find("\n", at) + 1
        line = fence.text.rfind("\n", seen, command.offset) + 1 or line
        seen = command.offset
        first = command.text.split("\n", 1)[0]
        column = at + command.offset - line
        found_at = document.text.find(first, column, column + LONGEST_INDENT + len(first))
        yield PlanStep(command, max(found_at, at))


def _inline(document: Document, ranges: list[tuple[int, int]]) -> Iterator[PlanStep]:
    for span in document.spans:
        if _within(ranges, span.offset) is not None and " " in span.text.strip():
            found = script(span.text.strip().removeprefix("$ "))[0]
            if found and starts_like_a_command(found[0]) and not _says_not_to_run(document, span):
                to_run = _says_to_run(document, span)
                for command in found:
                    yield PlanStep(command, span.offset, mentioned=not to_run and _bare(command))


def starts_like_a_command(command: ShellCommand) -> bool:
    """Whether a line of unknown kind is a command rather than a phrase."""
    first = command.words[0].text
    arguments = command.argv[1:]
    if any(word.lower() in _PROSE for word in arguments):
        return False
    if first in interactive.WORDLIKE:
        return any(_PATHLIKE.match(word) for word in arguments)
    known = first in TOOLS or first in PROGRAMS or first in WRAPPERS or interactive.knows(first)
    return known or bool(command.env) or first.startswith(("./", "../"))


def _bare(command: ShellCommand) -> bool:
    return all(_MENTION.fullmatch(word.text) for word in command.words)


def _before(document: Document, span: CodeSpan) -> str:
    """The sentence up to a code span."""
    text = document.text[max(0, span.offset - LOOK_BACK) : span.offset].rstrip("`")
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return text[ends[-1] :] if ends else text


def _says_not_to_run(document: Document, span: CodeSpan) -> bool:
    return _NOT_A_STEP.search(_before(document, span)) is not None


def _says_to_run(document: Document, span: CodeSpan) -> bool:
    """Whether the words before a code span say to run it, or there is nothing before it on its line."""
    far = max(0, span.offset - LOOK_BACK)
    before = document.text[max(document.text.rfind("\n", far, span.offset) + 1, far) : span.offset].rstrip("`")
    return (
        _SAYS_TO_RUN.search(before.rstrip()) is not None
        or re.fullmatch(r"\W*(?:\d+[.)])?\W*(?:\[[ xX]\])?\W*", before) is not None
    )


_HEREDOC = lazy(r"<<-?\s*['\"]?(\w+)")
_PROMPT = lazy(r"[ \t]*[$%\u276f\u279c] +(?=\S)")
_TRANSCRIPTS = frozenset({"console", "shell-session", "shellsession", "sh-session", "bash-session", "terminal"})
_SHELLS = frozenset({"sh", "bash", "shell", "zsh", "fish", "ksh", "dash", "shellscript"}) | _TRANSCRIPTS


def language(info: str) -> str:
    """The language a fence's info string names, lower case: "bash" for `{.bash .numberLines}`; "" for none."""
    first = info.strip().split(maxsplit=1)[:1]
    name = re.split(r"[\s,:{}]", first[0].lstrip("{.").rstrip("}"), maxsplit=1)[0] if first else ""
    return name.lower().removeprefix("language-")


def is_shell(name: str) -> bool:
    """Whether a language is a shell whose grammar `script` follows."""
    return name in _SHELLS


def has_prompts(text: str) -> bool:
    """Whether a line of the text starts with a prompt: then the other lines are output."""
    return any(_PROMPT.match(line) for line in text.split("\n"))


def fence_commands(text: str, folder: str | None = "") -> tuple[list[ShellCommand], str | None]:
    """The commands of a fenced block, a script or a transcript with prompts, and the folder it ends in."""
    if not has_prompts(text):
        return script(text, folder)
    found: list[ShellCommand] = []
    for start, end in _typed(text):
        part, folder = script(text[start:end], folder)
        found.extend(command._replace(offset=command.offset + start) for command in part)
    return found, folder


def _typed(text: str) -> Iterator[tuple[int, int]]:
    """The parts of a transcript that were typed: prompt lines, their continuations and here-documents."""
    offset = 0
    start: int | None = None
    until = ""
    for line in text.split("\n"):
        end = offset + len(line)
        if start is None and (prompt := _PROMPT.match(line)):
            start = offset + prompt.end()
            heredoc = _HEREDOC.search(line)
            until = heredoc[1] if heredoc else ""
        if start is not None and (line.strip() == until if until else not line.rstrip("\r").endswith("\\")):
            yield start, end
            start, until = None, ""
        elif start is not None and until and _HEREDOC.search(line) is None and _PROMPT.match(line):
            yield start, end  # the here-document was never closed
            start, until = None, ""
        offset = end + 1
    if start is not None:
        yield start, len(text)
