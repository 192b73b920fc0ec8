"""Which documents a verb that looks at citations means, and what they rely on is held against."""

from __future__ import annotations

from orchgate.commands.evidence import workspace
from orchgate.commands.shared import work_tree
from orchgate.errors import Unreadable
from orchgate.gate.documents import MAX_BYTES as MAX_DOCUMENT_BYTES
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from orchgate.git.repository import Repository
    from orchgate.markdown.document import Document


class ReadDocuments(NamedTuple):
    """Documents, those that cannot be read, and whose they are ("" for all documents that there are)."""

    documents: list[Document]
    unread: list[Unreadable]
    whose: str


def place_of(repository: Repository) -> workspace.PinSource:
    """The work tree of a repository, to find in it what documents cite. Raises ConfigError."""
    from orchgate.config.load import load_work_tree
    from orchgate.git.worktree import OnDisk
    from orchgate.markdown.document import Document
    from orchgate.packets.catalog import Packets

    config = load_work_tree(repository.root)
    tree = OnDisk(repository, (root.strip("/") for root in config.evidence.roots))

    def document(path: str) -> Document:
        return Document(path, tree.read(path, MAX_DOCUMENT_BYTES))

    place = workspace.PinSource(repository.root, config, tree, Packets(config.documents, tree), document, whole=True)
    if repository.cache is None:
        return place
    from orchgate.evidence.known_artifacts import KnownArtifacts

    return place._replace(known=KnownArtifacts(repository.cache, workspace.artifacts(place), place.limits))


def documents(
    place: workspace.PinSource,
    repository: Repository,
    task: str,
    *,
    everything: bool = False,
    command: str = "orchgate evidence pin",
) -> ReadDocuments:
    """The documents of a task, of the one that is meant here for "", or all. Raises UsageError.

    `command` is one to which a task can be added.
    """
    whose = None
    if task:
        whose = workspace.ChosenPackets((work_tree.packet_of_task(place.packets.all, task),))
    elif not everything and place.packets.all:
        whose = workspace.behind(place, repository, command)
    return documents_of(place, whose)


def documents_of(place: workspace.PinSource, whose: workspace.ChosenPackets | None) -> ReadDocuments:
    """The documents of packets (None: all), of those that the configuration takes for documents."""
    from orchgate.git.snapshot import SYMLINK
    from orchgate.lib.paths import matches
    from orchgate.markdown.document import Document

    settings, entries = place.config.evidence, place.tree.entries
    paths = [path for packet in whose.packets for path in packet.paths] if whose else list(entries)
    plain = (path for path in paths if path in entries and entries[path].mode != SYMLINK)
    chosen = [path for path in plain if matches(path, settings.documents) and not matches(path, settings.exclude)]
    read: list[Document] = []
    unread: list[Unreadable] = []
    for path, content in place.tree.read_many(chosen, MAX_DOCUMENT_BYTES):
        if isinstance(content, Unreadable):
            unread.append(content)
        else:
            read.append(Document(path, content))
    return ReadDocuments(read, unread, f" of {whose.words}" if whose else "")


def without_replays(root: str, name: str, task: str) -> str:
    """The newest run that replays none where somebody named the `latest`; else what was named."""
    from orchgate.replay.standing import is_of_another
    from orchgate.runs import ids

    if name != "latest":
        return name
    runs = ids.all_runs(root, task and work_tree.task_with_runs(root, task))
    return next((run for of, run in runs if not is_of_another(ids.run_folder(root, of, run))), name)
