"""What a check is given: the judged tree, the change, the configuration, and what is on disk beside it."""

from __future__ import annotations

import os
from functools import cached_property
from typing import TYPE_CHECKING

from orchgate.errors import OrchgateError, Unreadable
from orchgate.git.snapshot import SYMLINK
from orchgate.markdown.document import Document
from orchgate.markdown.names import is_markdown
from orchgate.model import Location, Trouble
from orchgate.references.artifacts import Artifacts

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Collection, Iterable, Mapping

    from orchgate.config.settings import Config
    from orchgate.git.diff import Patch
    from orchgate.git.exceptions import Exceptions
    from orchgate.git.message_hook import MessageHook
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Change, CheckResult, Scope
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import Layout

MAX_DOCUMENT_BYTES = 8 * 1024 * 1024


class Context:
    """Everything the checks of one run share. Checks read it and never change it.

    root       top level of the work tree on disk, "" in a bare repository
    config     the limits in force: those of the base revision
    proposed   the configuration of the snapshot itself
    accepted   the base's configuration, or the defaults, where the change touches it and there is a base
    unread     why the base's configuration could not be read, "" when it could
    base       the tree the change starts from; an empty one for a first commit
    branch     the branch being committed to or pushed, "" when detached
    exceptions what the messages of the judged commits excuse, and how much of the change
    judge      results of the checks with rules of some ids or families, judged once by `before` (for CFG001 only)
    default_severities  what a rule weighs that no configuration mentions, usually and at worst (for CFG001 only)
    message_hook  what will read the message of the commit that is being made, None where none is made
    named      ids of the checks that were asked for by name; none when all of them run
    repository the open repository, None for a folder; only what makes work trees of its own needs it
    started    the commit where the branch in work left the default branch, None when nobody knows
    tell       says to a waiting person what takes so long
    hold       tells what else is known before something is measured; why it is not to be, "" where it is
    refused    another ref of the same push is refused, so that this one need not be measured
    measure_anyway  also what is refused already is measured
    patch      lines of the judged change by path, counted from its patch
    start_of   size of an object in bytes and its first bytes
    """

    def __init__(
        self,
        *,
        root: str,
        config: Config,
        scope: Scope,
        snapshot: Snapshot,
        base: Snapshot,
        today: datetime.date,
        now: datetime.datetime,
        proposed: Config | None = None,
        accepted: Config | None = None,
        unread: str = "",
        environ: Mapping[str, str] | None = None,
        branch: Callable[[], str] = str,
        exceptions: Callable[[], Exceptions] | None = None,
        message_hook: Callable[[], MessageHook | None] | None = None,
        patch: Callable[[Iterable[Change]], Patch] | None = None,
        start_of: Callable[[str, int], tuple[int, bytes]] | None = None,
        repository: Repository | None = None,
        started: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.root = root
        self.config = config
        self.proposed = proposed or config
        self.accepted = accepted
        self.unread = unread
        self.scope = scope
        self.snapshot = snapshot
        self.base = base
        self.today = today
        self.now = now
        self.environ = environ or {}
        self._branch = branch
        self._exceptions = exceptions
        self._message_hook = message_hook
        self._patch = patch
        self._start_of = start_of
        self.layout: Layout | None = None  # where documents of packets are, where not the configuration says it
        self._documents: dict[str, Document | Unreadable] = {}
        # A large tree's documents are judged by two processes: each takes parts as it gets to them, one does what is
        # to be done once.
        self.share: Callable[[list[str]], Iterable[list[str]]] = lambda paths: (paths,)
        self.leads = True
        self.judge: Callable[[Collection[str]], tuple[CheckResult, ...]] | None = None
        self.default_severities: Callable[[str], tuple[str, str]] = lambda _: ("error", "error")
        self.named: frozenset[str] = frozenset()
        self.repository = repository
        self.started = started
        self.tell: Callable[[str], None] = lambda _: None
        self.hold: Callable[[], str] = str
        self.refused = False
        self.measure_anyway = False

    @cached_property
    def branch(self) -> str:
        return self._branch()

    @cached_property
    def exceptions(self) -> Exceptions:
        if self._exceptions is not None:
            return self._exceptions()
        from orchgate.git.exceptions import Exceptions

        return Exceptions(None, self.scope)

    @cached_property
    def message_hook(self) -> MessageHook | None:
        """The hook that reads the commit's message, where a commit without one is judged; None elsewhere."""
        return self._message_hook() if self._message_hook is not None else None

    @cached_property
    def packets(self) -> Packets:
        """The packets and the task list of the snapshot."""
        from orchgate.packets.catalog import Packets

        return Packets(self.config.documents, self.snapshot, self.layout)

    @cached_property
    def artifacts(self) -> Artifacts:
        """Files of recorded runs on disk, which git usually does not track."""
        return Artifacts(self.root, self.config.evidence.roots)

    @property
    def limits(self) -> Config:
        """The base's configuration alone, without what the change adds to its places."""
        return self.accepted or self.config

    @cached_property
    def before(self) -> Context:
        """This change judged by the base's configuration alone; what it moved to a new place counts there.

        It is this context where the base's configuration is in force as it was.
        """
        same = self.accepted is None or self.config[:-2] == self.accepted[:-2]  # but for where the values come from
        return self if same else self._under(self.limits)

    def _under(self, config: Config) -> Context:
        from orchgate.packets.layout import layout_with_moved

        documents = config.documents._replace(task_index=self.config.documents.task_index)
        other = Context.__new__(Context)
        own = {name: value for name, value in self.__dict__.items() if name not in ("packets", "artifacts", "before")}
        other.__dict__.update(own)  # the parsed documents are shared: they are the same under any configuration
        other.config = config._replace(documents=documents)
        other.layout = layout_with_moved(config.documents, self.proposed.documents, self.scope.changes)
        other.share, other.leads = (lambda paths: (paths,)), True
        return other

    def documents(self, paths: Iterable[str]) -> tuple[list[Document], list[Trouble]]:
        """Parsed documents of the snapshot in the given order, each parsed once a run, and what could not be read."""
        wanted = list(paths)
        sources = self._sources([path for path in wanted if path not in self._documents])
        contents = self.snapshot.read_many(sources.values(), MAX_DOCUMENT_BYTES)
        for path, (_, content) in zip(sources, contents, strict=True):
            self._documents[path] = content if isinstance(content, Unreadable) else Document(path, content)
        documents: list[Document] = []
        troubles: list[Trouble] = []
        for path in wanted:
            document = self._documents[path]
            if isinstance(document, Document):
                documents.append(document)
            else:
                troubles.append(Trouble(Location(path), document.message, document.hint))
        return documents, troubles

    def _sources(self, paths: Iterable[str]) -> dict[str, str]:
        """What is read for each path: itself, or what its symbolic link leads to; where that cannot be is kept."""
        found: dict[str, str] = {}
        entries = self.snapshot.entries
        for path in paths:
            if path not in entries or entries[path].mode != SYMLINK:
                found[path] = path
                continue
            from orchgate.references import symlinks

            try:
                found[path] = symlinks.target(self.snapshot, path)
            except Unreadable as error:
                self._documents[path] = error
        return found

    @cached_property
    def links(self) -> Mapping[str, list[str]]:
        """Documents that are symbolic links, by the file of the tree that they lead to."""
        if all(entry.mode != SYMLINK for entry in self.snapshot.entries.values()):
            return {}
        from orchgate.references import symlinks

        return symlinks.by_target(self.snapshot)

    @cached_property
    def touched(self) -> tuple[str, ...]:
        """What the change leaves behind otherwise than it was, then the documents that are links to documents of it.

        Raises OrchgateError where the scope is unknown.
        """
        changed = dict.fromkeys(change.path for change in self.scope.require_changes() if not change.deleted)
        # Links are looked for only where the tree is listed anyway.
        documents = [path for path in changed if is_markdown(path)]
        also = {link: None for path in documents for link in self.links.get(path, ())}
        return tuple(changed | also)

    @cached_property
    def touched_set(self) -> frozenset[str]:
        return frozenset(self.touched)

    def document(self, path: str) -> Document:
        """One parsed document of the snapshot. Raises Unreadable."""
        self.documents([path])
        document = self._documents[path]
        if isinstance(document, Unreadable):
            raise document
        return document

    @property
    def parsed_paths(self) -> tuple[str, ...]:
        """Documents that some check has looked at so far."""
        return tuple(path for path, document in self._documents.items() if isinstance(document, Document))

    def parsed(self, path: str) -> Document | None:
        """A document some check has looked at, or None."""
        document = self._documents.get(path)
        return document if isinstance(document, Document) else None

    def patch(self, changes: Iterable[Change]) -> Patch:
        """Lines of some of the judged changes, counted from their patch with every file shown as text.

        Raises GitError.
        """
        if self._patch is None:
            raise OrchgateError("a folder has no patch to count lines in")
        return self._patch(changes)

    def start_of(self, oid: str, limit: int) -> tuple[int, bytes]:
        """Size of an object in bytes and its first `limit` ones. Raises GitError when it is not in the repository."""
        if self._start_of is None:
            raise OrchgateError("a folder has no objects")
        return self._start_of(oid, limit)

    def on_disk(self, path: str) -> str:
        """The place of a repository path in the work tree."""
        return os.path.join(self.root, path)
