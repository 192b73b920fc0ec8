"""`orchgate evidence show`: prints an artifact that a document links to, from the disk or from the store."""

from __future__ import annotations

import sys

from orchgate.commands.evidence import workspace
from orchgate.commands.shared import options, work_tree
from orchgate.commands.shared.lines import inner_paths
from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.lib import files
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._document import headed
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse

    from orchgate.commands.evidence.workspace import EvidenceWorkspace

SUMMARY = "print an artifact that a document links to, wherever it is kept"
ABOUT = "Prints what was pinned, from the disk or the store; what is not pinned, from the disk."
EXAMPLES = (
    "orchgate evidence show out/0001-faster-start/notes.txt",
    "orchgate evidence show -o log.txt --force out/0001-faster-start/build.log",
)
EXIT_CODES = {3: "it is not here, or FILE is there already"}

VERSION = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("link", metavar="LINK", help="as the document writes it")
    parser.add_argument("-o", "--output", default="", metavar="FILE", help="write it there instead of printing it")
    parser.add_argument("--force", action="store_true", help="replace a FILE that is there")
    options.output_format(parser, "evidence-artifact")


def run(args: argparse.Namespace) -> Verdict:
    with workspace.here() as place:
        content = _content(place, args.link)
        path = workspace.named(place, args.link)
        pinned = place.lock.get(path) is not None
    if args.output:
        work_tree.write_file(args.output, content, force=args.force)
    if args.output_format == "json":
        work_tree.print_json(_document(path, content, args.output, pinned=pinned))
    elif args.output:
        pass
    elif sys.stdout.isatty():
        sys.stdout.write(_readable(content, args.link))
    else:
        sys.stdout.buffer.write(content)
    return Verdict.PASS


def _document(path: str, content: bytes, output: str, *, pinned: bool) -> dict[str, object]:
    """The artifact as text where it is UTF-8, else in base64; neither where it was written to a file."""
    import base64

    text, encoded = None, None
    if not output:
        try:
            text = content.decode("utf-8")
        except UnicodeDecodeError:
            encoded = base64.b64encode(content).decode("ascii")
    facts = {"path": path, "is_pinned": pinned, "size_bytes": len(content), "sha256": files.sha256_hex(content)}
    return headed("evidence-artifact", {**facts, "text": text, "base64": encoded, "output": output or None}, VERSION)


def _content(place: EvidenceWorkspace, link: str) -> bytes:
    """The bytes of what was pinned, or of what only this disk has, which is said. Raises OrchgateError."""
    from orchgate.runs.locate import NAME

    path = workspace.named(place, link)
    content = _of(place, path, link)
    if path.endswith("/" + NAME):
        sys.stderr.writelines(f"orchgate: {escape(line)}\n" for line in inner_paths(path, content))
    return content


def _of(place: EvidenceWorkspace, path: str, link: str) -> bytes:
    from orchgate.evidence import transfer
    from orchgate.runs.locate import read_file

    pin = place.lock.get(path)
    if pin is not None:
        return transfer.anywhere(place.artifacts, pin, place.store, place.limit)
    below = [one.path for one in place.lock.below(path)]
    if below:
        raise UsageError(
            f"{link} is a folder of {len(below)} pinned artifacts", f"orchgate evidence show {quoted(below[0])}"
        )
    if not place.artifacts.on_disk(path):
        raise OrchgateError(f"{link} is neither pinned nor on disk", "orchgate check evidence --all-files")
    sys.stderr.write("orchgate: this is on your disk only: it is not pinned\n")
    return read_file(place.artifacts.full(path), place.limit)


def _readable(content: bytes, link: str) -> str:
    """What a terminal may be shown: control characters of an artifact would be obeyed."""
    if b"\0" in content:
        raise UsageError(f"{link} is not text", f"orchgate evidence show {quoted(link)} -o FILE")
    lines = content.decode("utf-8", "replace").split("\n")
    return "\n".join(escape(line.removesuffix("\r")) for line in lines).removesuffix("\n") + "\n"
