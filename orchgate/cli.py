"""Command table, argparse, the one error boundary, exit codes.

Nothing heavy is imported here: `orchgate --version` and a tab completion pay for this file alone.
"""

from __future__ import annotations

import errno
import os
import sys

INTERNAL_ERROR = 4
INTERRUPTED = 130
BROKEN_PIPE = 3
UNSUPPORTED = 3
# What a write that finds no room, or no way to the disk, is refused with; anything else is our own mistake.
_UNWRITABLE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EBADF, errno.EIO)


def console() -> None:
    """The console script."""
    import gc

    if sys.getfilesystemencoding() != "utf-8":
        # git's names and the documents that mention them are UTF-8, whatever the locale calls itself.
        from orchgate.lib.process import restart

        restart("-X", "utf8")
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
    try:
        code = _version() if argv in (["--version"], ["-V"]) else _dispatch(argv)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader went away: the verdict was not delivered, so this is neither a pass nor a failure.
        return _undelivered()
    except SystemExit as stop:  # argparse ends this way
        return stop.code if isinstance(stop.code, int) else 2
    except OSError as error:
        if error.errno not in _UNWRITABLE:
            return _failed(error)
        _complain(f"cannot write: {error.strerror}", "")
        return _undelivered()
    except Exception as error:  # noqa: BLE001 -- the one boundary
        return _failed(error)


def _undelivered() -> int:
    # What is still buffered goes nowhere: python would try once more at its end, and complain.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return BROKEN_PIPE


def _version() -> int:
    from orchgate import __version__

    sys.stdout.write(f"orchgate {__version__}\n")
    return 0


def _failed(error: Exception) -> int:
    from orchgate.errors import REINSTALL, OrchgateError, missing_module
    from orchgate.outputs._escape import escape

    if isinstance(error, OrchgateError):
        path = getattr(error, "path", "")
        _complain(escape(f"{path}: {error.message}" if path else error.message), escape(error.hint))
        for message, hint in getattr(error, "others", ()):  # of a configuration all that is wrong is said
            _complain(escape(message), escape(hint))
        return error.exit_code
    if os.environ.get("ORCHGATE_DEBUG"):
        import traceback

        traceback.print_exc()
    if missing := missing_module(error):
        _complain(escape(f"the module {missing} cannot be imported: {error}"), REINSTALL)
        return INTERNAL_ERROR
    message = escape(f"internal error: {type(error).__name__}: {error}")
    _complain(message, "run it again with ORCHGATE_DEBUG=1 and report what it prints")
    return INTERNAL_ERROR


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
    module = registry.load("commands", name)

    from orchgate.commands.shared.options import Parser, describe

    parser = getattr(module, "PARSER", Parser)(prog=f"orchgate {name}")
    describe(parser, module)
    result = module.run(parser.parse_args(argv[1:]))
    return result if isinstance(result, int) else int(result.exit_code)


def help_text() -> str:
    """What `orchgate --help` prints: every command with its summary."""
    from orchgate import registry
    from orchgate.commands.shared.options import EXIT_CODES, code_lines

    rows = [(name, registry.load("commands", name).SUMMARY) for name in registry.plugins("commands")]
    width = max(len(name) for name, _ in rows)
    listed = "\n".join(f"  {name:<{width}}  {summary}" for name, summary in rows)
    return (
        "usage: orchgate COMMAND [OPTIONS]\n\n"
        "Nothing lands that its own evidence does not support,\n"
        "and nothing is pushed that makes the pipelines worse.\n\n"
        f"commands:\n{listed}\n\n"
        "orchgate COMMAND --help says more about one; orchgate --version prints the version.\n\n"
        "exit codes (rlm and observe have others, see their --help):\n" + "\n".join(code_lines(EXIT_CODES)) + "\n"
    )
