"""Command table, argparse, the one error boundary, exit codes.

Nothing heavy is imported here: `orchgate --version` and a tab completion pay for this file alone.
"""

from __future__ import annotations

import errno
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from types import ModuleType

INTERNAL_ERROR = 4
INTERRUPTED = 130
BROKEN_PIPE = 3
UNSUPPORTED = 3
DEBUG = "run it again with ORCHGATE_DEBUG=1 and report what it prints"
# What a write that finds no room, or no way to the disk, is refused with; anything else is our own mistake.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EBADF, errno.EIO)


def console() -> None:
    """The console script."""
    import gc

    if sys.getfilesystemencoding() != "utf-8":
        # git's names and the documents that mention them are UTF-8, whatever the locale calls itself.
        from orchgate.lib.process import restart

        restart("-X", "utf8")
    if len(sys.argv) > 1 and not sys.argv[1].startswith("-"):
        _end_as_if_interrupted()
    gc.disable()  # the process is over before a collection would pay; its cost is 5 % of a large tree's check
    code = main(sys.argv[1:])
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except OSError:
        code = code or BROKEN_PIPE
    # Taking a few thousand small objects apart one by one costs more than some checks; the system takes them at once.
    os._exit(code)


def _end_as_if_interrupted() -> None:
    """Who ends us otherwise than by Ctrl-C, as a CI service does, gets the same: nothing stays, documents say it."""
    # Of `signal`, which makes enums of all that is in it.
    import _signal as signal  # type: ignore[import-not-found]  # typeshed lacks it

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_DFL:  # not what `nohup` ignores
            signal.signal(number, signal.default_int_handler)


def main(argv: list[str]) -> int:
    """Runs one command line and returns its exit code.

    0 pass (also warn), 1 fail, 2 wrong usage or configuration, 3 could not check, 4 internal error, 130 interrupted.
    """
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 -- stands in for the stream, to the end of the process
    if sys.stdout is None:  # the caller closed it
        _complain("standard output is closed: the verdict cannot be delivered", "")
        return BROKEN_PIPE
    if sys.platform == "win32":  # before anything is imported that Windows does not have
        _complain("orchgate runs on Linux and macOS; on Windows, use it inside WSL", "wsl --install")
        return UNSUPPORTED
    if "orchgate.outputs._document" in sys.modules:
        from orchgate.outputs._document import forget

        forget()
    if "orchgate.commands.shared.delivery" in sys.modules:
        from orchgate.commands.shared import delivery

        delivery.forget()
    return _called(argv)


def _called(argv: list[str]) -> int:
    """Within the one boundary that every error ends at."""
    try:
        code = _version() if argv in (["--version"], ["-V"]) else _dispatch(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return _told(argv, INTERRUPTED, "interrupted", "interrupted")
    except BrokenPipeError:
        # The reader went away: the verdict was not delivered, so this is neither a pass nor a failure.
        return _undelivered()
    except SystemExit as stop:  # argparse ends this way
        return stop.code if isinstance(stop.code, int) else 2
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            return _failed(error, argv)
        message = f"cannot write: {error.strerror}"
        _complain(message, "")
        _told(argv, BROKEN_PIPE, "unwritable", message)
        return _undelivered()
    except Exception as error:  # noqa: BLE001 -- the one boundary
        return _failed(error, argv)


def _told(argv: list[str], exit_code: int, code: str, message: str, hint: str = "") -> int:
    """The exit code, once whoever asked for JSON has the error as JSON, too."""
    from orchgate.outputs import _document

    return _answered(argv, [_document.problem(code, message, hint)], exit_code)


def _answered(argv: list[str], problems: list[dict[str, object]], exit_code: int) -> int:
    from orchgate.commands.shared import delivery
    from orchgate.outputs import _document

    delivery.answer(argv, problems, exit_code)
    _document.answer(sys.stdout, argv, problems, exit_code)
    return exit_code


def _undelivered() -> int:
    # What is still buffered goes nowhere: python would try once more at its end, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _version() -> int:
    from orchgate import __version__

    sys.stdout.write(f"orchgate {__version__}\n")
    return 0


def _failed(error: Exception, argv: list[str]) -> int:
    from orchgate.errors import REINSTALL, OrchgateError, missing_module
    from orchgate.outputs._escape import escape

    if isinstance(error, OrchgateError):
        path = getattr(error, "path", "")
        _complain(escape(f"{path}: {error.message}" if path else error.message), escape(error.hint))
        for message, hint, _ in getattr(error, "others", ()):  # of a configuration all that is wrong is said
            _complain(escape(message), escape(hint))
        from orchgate.outputs import _document

        return _answered(argv, _document.problems_of(error), error.exit_code)
    if os.environ.get("ORCHGATE_DEBUG"):
        import traceback

        traceback.print_exc()
    if missing := missing_module(error):
        message = f"the module {missing} cannot be imported: {error}"
        _complain(escape(message), REINSTALL)
        return _told(argv, INTERNAL_ERROR, "missing_module", message, REINSTALL)
    message, hint = f"internal error: {type(error).__name__}: {error}", DEBUG
    _complain(escape(message), hint)
    return _told(argv, INTERNAL_ERROR, "internal", message, hint)


def _complain(message: str, hint: str) -> None:
    try:
        sys.stderr.write(f"orchgate: {message}\n")
        if hint:
            sys.stderr.write(f"  hint: {hint}\n")
    except OSError:  # nobody can be told; the exit code still says it, where Python's own, 1, would say "refused"
        return


def _dispatch(argv: list[str]) -> int:
    for stream in (sys.stdout, sys.stderr):
        # A terminal or pipe in an ASCII locale must not turn a finding into a crash.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    if not argv or argv[0] in ("-h", "--help", "help"):
        sys.stdout.write(help_text())
        return 0 if argv else 2
    from orchgate import registry

    name = argv[0]
    if name.startswith("-"):
        from orchgate.errors import UsageError

        raise UsageError(f"unknown option {name}", "orchgate --help")
    module = _untranslated(lambda: registry.load("commands", name))
    from orchgate.commands.shared import options

    args = options.read_flags(module.arguments, argv[1:])
    result = module.run(_parsed(name, module, argv[1:]) if args is None else args)
    return result if isinstance(result, int) else int(result.exit_code)


def _parsed(name: str, module: ModuleType, words: list[str]) -> Namespace:
    command_line = _command_line()
    parser = command_line.parser_of(module, f"orchgate {name}")
    command_line.describe(parser, module)
    return parser.parse_args(words)  # type: ignore[no-any-return]


def _command_line() -> ModuleType:
    from importlib import import_module

    return _untranslated(lambda: import_module("orchgate.commands.shared.command_line"))


def _untranslated(load: Callable[[], ModuleType]) -> ModuleType:
    """A module that may import argparse, which looks for a catalogue of translations, and ours has none."""
    if "argparse" in sys.modules or "gettext" in sys.modules:
        return load()
    untranslated = type(sys)("gettext")
    vars(untranslated).update(gettext=str, ngettext=lambda one, many, count: one if count == 1 else many)
    sys.modules["gettext"] = untranslated
    try:
        return load()
    finally:
        del sys.modules["gettext"]  # whoever wants to translate finds the real one


# What one wants, and the commands for it.
GROUPS = {
    "Gate: keep out what does not hold": ("check", "scan", "explain", "hook", "doctor", "try"),
    "Run: pipelines, and what they left behind": ("run", "resume", "status", "plan", "observe", "rlm"),
    "Count: what runs add up to, here and on all machines": ("metrics", "history"),
    "Speed: what got slower, where, and since when": ("perf", "baseline", "bisect", "hotspots"),
    "Evidence: tasks, and claims that rest on runs": ("new", "tasks", "evidence"),
    "Set up: a repository, and your shell": ("init", "config", "completion"),
    "Export: for people and programs": ("report", "export", "schema"),
}


def help_text() -> str:
    """What `orchgate --help` prints: every command with its summary, by what one wants."""
    from orchgate import registry

    command_line = _command_line()
    names = registry.plugins("commands")
    width = max(map(len, names))
    rest = tuple(name for name in names if not any(name in group for group in GROUPS.values()))
    groups = {**GROUPS, **({"More": rest} if rest else {})}
    listed = "\n\n".join(
        f"{title}\n"
        + "\n".join(f"  {name:<{width}}  {registry.command_summary(name)}" for name in group if name in names)
        for title, group in groups.items()
    )
    return (
        "usage: orchgate COMMAND [OPTIONS]\n\n"
        "Nothing lands that its own evidence does not support,\n"
        "and nothing is pushed that makes the pipelines worse.\n\n"
        f"{listed}\n\n"
        "orchgate COMMAND --help says more about one; orchgate --version prints the version.\n\n"
        "exit codes (rlm and observe have others, see their --help):\n"
        + "\n".join(command_line.code_lines(command_line.EXIT_CODES))
        + "\n"
    )
