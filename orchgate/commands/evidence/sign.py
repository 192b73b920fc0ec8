"""`orchgate evidence sign`: signs what runs recorded, so that others can see who stands for them."""

from __future__ import annotations

import os

from orchgate.commands.evidence import cited, signing, workspace
from orchgate.commands.shared import options, work_tree
from orchgate.errors import GitError, OrchgateError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.outputs._document import headed

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from orchgate.commands.evidence.workspace import PinSource
    from orchgate.commands.shared.command_line import Parser
    from orchgate.git.repository import Repository
    from orchgate.model import Verdict

SUMMARY = "sign runs with an SSH key, for others to see who stands for them"
ABOUT = """\
Without RUN: the runs that the documents of one task cite, found as `evidence pin`
finds them. The signature goes to .orchgate/signatures/, one line for each key.
What is signed is an in-toto Statement about tree, commit, manifest and journal."""
EXAMPLES = ("orchgate evidence sign --task 0001-faster-start", "orchgate evidence sign latest --key ~/.ssh/id_ed25519")
EXIT_CODES = {
    1: "a run was not signed: it contradicts its journal, is not finished, or lies elsewhere",
    2: "wrong usage; no key is named, and git does not sign with an SSH key",
    3: "the key could not be used, or a document cannot be read",
}
VERSION = 1


def arguments(parser: Parser) -> None:
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="a run's id, its manifest, or latest: the newest that replays none"
    )
    work_tree.task_option(parser, "whose runs (the task of this change)")
    signing.option(parser)
    options.output_format(parser, "evidence-signing")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.evidence import pin
    from orchgate.gate import session

    with session.opened() as repository:
        if not repository.root:
            raise GitError("a bare repository has no work tree with runs", "run this in a clone")
        place = cited.place_of(repository)
        named = [manifest_named(place.root, name, args.task) for name in args.runs]
        paths = named or list(_cited(place, repository, args.task))
        done = signing.sign(place, repository, pin.lock_of(place.root), paths, args.key)
    if args.output_format == "json":
        facts = {"verdict": done.verdict.value, **signing.facts(done)}
        work_tree.print_json(headed("evidence-signing", facts, VERSION))
    else:
        signing.write(done)
    return done.verdict


def manifest_named(root: str, name: str, task: str) -> str:
    """The repository path of the manifest of a run that somebody named; as it is for one outside."""
    from orchgate.runs import ids

    named = cited.without_replays(root, name, task)
    manifest = os.path.join(work_tree.locate(root, named, task)[1], ids.MANIFEST)
    top = os.path.realpath(root)
    real = os.path.join(os.path.realpath(os.path.dirname(manifest)), ids.MANIFEST)
    return os.path.relpath(real, top)


def _cited(place: PinSource, repository: Repository, task: str) -> Iterator[str]:
    """The manifests that documents cite, here or not. Raises OrchgateError for a document that cannot be read."""
    from orchgate.evidence import pin

    read = cited.documents(place, repository, task, command="orchgate evidence sign")
    for error in read.unread:
        raise OrchgateError(f"{error.path}: {error.message}: which runs it cites is not known", error.hint)
    found = pin.expand(workspace.links(place, read.documents), workspace.artifacts(place))
    yield from signing.manifests([*found.files, *(link.path for link in found.missing)], place.config.evidence.roots)
