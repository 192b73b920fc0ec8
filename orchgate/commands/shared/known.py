"""`orchgate check --accept-known`: brings `.orchgate/known.json` up to date."""

from __future__ import annotations

import contextlib
import os
import sys

from orchgate import registry
from orchgate.errors import OrchgateError, UsageError
from orchgate.gate import known, session
from orchgate.gate.suppressions import KNOWN
from orchgate.lib import files, paths
from orchgate.lib.text import counted
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import ScopeRequest, Severity, Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Collection, Iterator

    from orchgate.git.repository import Repository
    from orchgate.model import Diagnostic

LONGEST_REASON = 500


def accept(repository: Repository, args: argparse.Namespace, tell: Callable[[str], None]) -> Verdict:
    """Takes out what is not there any more and, with a reason, adds what is."""
    reason = _reason(args)
    if not repository.root:
        raise UsageError("a bare repository has no work tree to write to", "run it in a clone")
    old = _on_disk(repository.root)
    names = [check.id for check in registry.checks() if check.of_tree]
    request = ScopeRequest(all_files=True, config=args.config)
    report = session.judge_request(repository, request, os.environ, names, ignores=True, strict=True, tell=tell)
    for trouble in (trouble for check in report.checks for trouble in check.troubles):
        place = f"{trouble.location.path}: " if trouble.location.path else ""
        raise OrchgateError(f"{KNOWN} is left as it is: {place}{trouble.message}", trouble.hint)
    found = [one for one in report.diagnostics if one.counts and one.severity is not Severity.NOTE]
    tree = repository.index.entries
    new = known.updated(old, found, tree, reason)
    said, written = _write(repository.root, old, new)
    left = _left(found, new, tree)
    errors = sum(one.severity is Severity.ERROR for one in left)
    verdict = Verdict.FAIL if errors else Verdict.PASS
    if args.output_format == "json":
        from orchgate.outputs._document import headed, write

        counts = {"known_count": sum(new.counts.values()), "left_count": len(left), "left_error_count": errors}
        facts = {"verdict": verdict.value, "path": KNOWN, "written": written, **counts, "message": said}
        write(headed("known-update", facts), sys.stdout)
    else:
        sys.stdout.writelines(line + "\n" for line in _lines(said, left, errors, written=written))
    return verdict


def _reason(args: argparse.Namespace) -> str:
    others = (args.staged, args.base, args.head, args.commit, args.checks, args.no_ignores, args.fix, args.strict)
    if any(others):
        raise UsageError("--accept-known is about all checks of the whole tree", f"{known.ACCEPT} --reason WHY")
    reason = " ".join((args.reason or "").split())
    if args.reason is not None and not reason:
        raise UsageError("--reason is empty", "say why these findings are accepted")
    if len(reason) > LONGEST_REASON:
        raise UsageError(f"--reason is longer than {LONGEST_REASON} characters")
    from orchgate.secrets.redact import redacted

    if redacted(reason) != reason:
        raise UsageError("--reason seems to hold a secret, and it would be committed")
    return reason


def _on_disk(root: str) -> known.Known:
    """What the work tree's file says; it may have been edited since it was staged. Raises KnownError."""
    path = os.path.join(root, KNOWN)
    if os.path.islink(path):
        raise known.LinkedError
    try:
        return known.parse(files.read(path, known.MAX_BYTES))
    except FileNotFoundError:
        return known.NOTHING
    except OSError as error:
        raise known.KnownError(f"cannot be read: {error.strerror}") from error


def _write(root: str, old: known.Known, new: known.Known) -> tuple[str, bool]:
    """What was done, in words, and whether the file was written."""
    paths.require_real(root, KNOWN)
    path = os.path.join(root, KNOWN)
    data = known.written(new) if new.counts else b""
    try:
        before = files.read(path, known.MAX_BYTES)
    except OSError:
        before = b""
    if data == before:
        what = counted(sum(new.counts.values()), "known finding")
        return f"{KNOWN} is up to date: {what}" if data else "nothing to accept", False
    if data:
        files.make_folders(os.path.dirname(path))
        files.replace(path, data)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    done = "wrote" if data else "no finding is left, removed"
    return f"{done} {KNOWN}: {known.difference(old, new)}", True


def _left(found: list[Diagnostic], new: known.Known, tree: Collection[str]) -> list[Diagnostic]:
    """What is not accepted: without a reason nothing new is."""
    excused = known.excused(new.earlier(tree), enumerate(found))
    return [one for at, one in enumerate(found) if at not in excused.here]


def _lines(said: str, left: list[Diagnostic], errors: int, *, written: bool) -> Iterator[str]:
    yield f"orchgate: {said}"
    yield from (f"  next: git add {KNOWN}",) if written else ()
    if left:
        yield f"orchgate: {counted(len(left), 'finding')} not accepted, {counted(errors, 'error')} among them"
        yield f"  to accept them: {escape(known.ACCEPT)} --reason WHY"
