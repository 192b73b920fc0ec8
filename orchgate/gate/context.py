"""What a check is given: the judged tree, the change, the configuration, and what is on disk beside it."""

from __future__ import annotations

from orchgate.errors import OrchgateError
from orchgate.lib.lazy import dates
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple, Protocol, cached_property
from orchgate.markdown.parts import is_markdown
from orchgate.model import ScopeTarget
from orchgate.references.artifacts import Artifacts

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Collection, Iterable, Mapping
    from typing import NoReturn

    from orchgate.config.settings import Config
    from orchgate.evidence.lock import Lock
    from orchgate.gate.documents import ParsedDocuments
    from orchgate.gate.whole.parts import Parts
    from orchgate.git.message_hook import MessageHook
    from orchgate.git.messages import Exceptions
    from orchgate.git.objects import Patch
    from orchgate.git.repository import Repository
    from orchgate.git.snapshot import Snapshot
    from orchgate.model import Change, CheckResult, Scope
    from orchgate.packets.catalog import Packets
    from orchgate.packets.layout import Layout

    class CheckEngine(Protocol):
        """What a check may ask of the engine that runs it."""

        def results_before(self, rules: Collection[str]) -> tuple[CheckResult, ...]:
            """What the checks with rules of these ids or families say of the change by the base's configuration."""

        def hold(self) -> str:
            """Reports what is known before something is measured. Says why it is not to be measured, "" where it is."""


class Share(NamedTuple):
    """The part of a judgement that this process does: large trees are shared by two.

    `parts` are those of many paths that this process gets to; one of the two `leads` and does what is to be done once.
    """

    parts: Callable[[list[str]], Iterable[list[str]]]
    leads: bool


OF_REF = "the name of the ref, or its commits"
ALL = Share(lambda paths: (paths,), leads=True)
_BESIDE = frozenset(("tell", "engine", "share", "asked", "noted"))


class Context(NamedTuple):
    """Everything the checks of one judgement share. It never changes; another situation is another context.

    Of these values it is made; everything else follows from them.

    root       top level of the work tree on disk, "" in a bare repository
    config     the limits in force: those of the base revision
    proposed   the configuration of the snapshot itself
    accepted   the base's configuration, or the defaults, where the change touches it and there is a base
    unread     why the base's configuration could not be read, "" when it could
    base       the tree the change starts from; an empty one for a first commit
    documents  those of the snapshot, parsed
    judged_at  seconds since 1970
    target     what was asked to be judged
    repository the open repository, None for a folder
    layout     where documents of packets are, where not the configuration says it
    named      ids of the checks that were asked for by name; none when all of them run
    tell       says to a waiting person what takes so long
    engine     what runs the check; None where one runs by itself
    as_finished  every packet is judged as if it were called finished: what does it owe until then?
    noted      the parts of a tree that is judged as a whole, of this situation or another one; see `parts`
    asked      hears what a judgement asks of the ref itself: OF_REF for its name or its commits, or what messages say
    """

    root: str
    config: Config
    proposed: Config
    scope: Scope
    snapshot: Snapshot
    base: Snapshot
    documents: ParsedDocuments
    judged_at: float
    accepted: Config | None = None
    unread: str = ""
    environ: Mapping[str, str] = {}
    target: ScopeTarget = ScopeTarget("staged", None)
    repository: Repository | None = None
    layout: Layout | None = None
    named: frozenset[str] = frozenset()
    tell: Callable[[str], None] = lambda _: None
    engine: CheckEngine | None = None
    share: Share = ALL
    as_finished: bool = False
    asked: Callable[[str | Exceptions], None] = lambda _: None
    noted: Parts | None = None

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError(f"a context does not change: {name}")

    def judging(
        self, *, engine: CheckEngine | None = None, share: Share | None = None, parts: Parts | None = None
    ) -> Context:
        """This context as something judges by it, with everything that was found out already."""
        made = self._replace(engine=engine or self.engine, share=share or self.share, noted=parts or self.noted)
        vars(made).update({name: known for name, known in vars(self).items() if name != "before"})
        return made

    def of_same_tree(self, scope: Scope) -> Context:
        """This context for another change to the same tree."""
        made = self._replace(scope=scope)
        vars(made).update({name: known for name, known in vars(self).items() if name in ("packets", "lock")})
        return made

    @cached_property
    def situation(self) -> tuple[object, ...]:
        """All that is judged and by what, without who judges it and who hears of it."""
        return tuple(value for name, value in zip(self._fields, self, strict=True) if name not in _BESIDE)

    @property
    def parts(self) -> Parts | None:
        """Notes what each part of a tree that is judged as a whole rests on; None for any other change.

        What is known of parts holds in one situation: another configuration, or another tree, has none of it.
        """
        return self.noted if self.noted is not None and self.noted.situation == self.situation else None

    def with_packets_beside(self, other: Context) -> Context:
        """This context, whose packets are those of another one where its tree holds the same."""
        from orchgate.packets.catalog import Packets

        documents, finished = self.config.documents, self.as_finished
        vars(self)["packets"] = Packets(
            documents, self.snapshot, self.layout, as_finished=finished, beside=other.packets
        )
        return self

    @cached_property
    def now(self) -> datetime.datetime:
        made = dates()
        found: datetime.datetime = made.datetime.fromtimestamp(self.judged_at, made.timezone.utc)
        return found

    @property
    def today(self) -> datetime.date:
        return self.now.date()

    def noting(self, names: set[str]) -> None:
        """From now on, what is asked of the disk is noted there, where anybody hears it."""

    # -- The change --------------------------------------------------------------------------------

    @cached_property
    def branch(self) -> str:
        """The branch being committed to or pushed, "" when detached."""
        self.asked(OF_REF)
        if self.target.push is not None:
            return self.target.push.remote_ref.removeprefix("refs/heads/")
        own = self.repository.branch if self.repository else ""
        return own or self.environ.get("GITHUB_HEAD_REF", "") or self.environ.get("GITHUB_REF_NAME", "")

    @cached_property
    def started(self) -> str | None:
        """The commit where the branch in work left the default branch, None when nobody knows. Raises GitError."""
        from orchgate.config.branches import started

        return started(self.repository, self.environ) if self.repository else None

    @cached_property
    def exceptions(self) -> Exceptions:
        """What the messages of the judged commits excuse, and how much of the change."""
        from orchgate.git.messages import Exceptions

        found = Exceptions(self.repository, self.scope, self.target.message)
        if self.scope.head == self.target.head:  # and it is not the base that is judged
            self.asked(found)
        return found

    @property
    def has_messages(self) -> bool:
        """Whether there may be messages that excuse something; before a commit, its own is not written yet."""
        return self.scope.kind != "staged" or self.target.message is not None

    @cached_property
    def message_hook(self) -> MessageHook | None:
        """The hook that will read the message of the commit that is being made; None when none is, or this is it."""
        making = self.scope.kind == "staged" and self.target.message is None and self.environ.get("GIT_INDEX_FILE")
        if self.repository is None or not making:
            return None
        from orchgate.git.message_hook import find_hook

        return find_hook(self.repository, self.environ)

    def patch(self, changes: Iterable[Change]) -> Patch:
        """Lines of some of the judged changes, counted from their patch with every file shown as text.

        Raises GitError.
        """
        if self.repository is None:
            raise OrchgateError("a folder has no patch to count lines in")
        from orchgate.git import objects

        return objects.counted(
            self.repository.git, self.scope.base or self.repository.empty_tree, self.scope.head, changes
        )

    def start_of(self, oid: str, limit: int) -> tuple[int, bytes]:
        """Size of an object in bytes and its first `limit` ones. Raises GitError when it is not in the repository."""
        if self.repository is None:
            raise OrchgateError("a folder has no objects")
        return self.repository.start_of(oid, limit)

    @cached_property
    def touched(self) -> tuple[str, ...]:
        """Paths that the change adds or alters, then the documents that are links to documents among them.

        Raises OrchgateError where the scope is unknown.
        """
        changed = dict.fromkeys(change.path for change in self.scope.require_changes() if not change.deleted)
        # Links are looked for only where the tree is listed anyway.
        documents = [path for path in changed if is_markdown(path)]
        also = {link: None for path in documents for link in self.documents.links.get(path, ())}
        return tuple(changed | also)

    @cached_property
    def touched_set(self) -> frozenset[str]:
        return frozenset(self.touched)

    # -- The tree, and what is on disk -------------------------------------------------------------

    @cached_property
    def packets(self) -> Packets:
        """The packets and the task list of the snapshot."""
        from orchgate.packets.catalog import Packets

        return Packets(self.config.documents, self.snapshot, self.layout, as_finished=self.as_finished)

    @cached_property
    def artifacts(self) -> Artifacts:
        """Files of recorded runs on disk, which git usually does not track."""
        return Artifacts(self.root, self.config.evidence.roots)

    def artifacts_with(self, lock: Lock) -> Artifacts:
        """The same, where what a lock pins counts as present."""
        return Artifacts(self.root, self.artifacts.roots, lock)

    @cached_property
    def lock(self) -> Lock | None:
        """The judged tree's evidence lock. A tree without one does not load what reads it. Raises LockError."""
        from orchgate.evidence.rules import LOCK

        if LOCK not in self.snapshot.entries:
            return None
        from orchgate.evidence.kept_lock import of

        return of(self.snapshot, self.repository.cache if self.repository else None)

    # -- Whose limits ------------------------------------------------------------------------------

    @property
    def limits(self) -> Config:
        """The base's configuration alone, without what the change adds to its places."""
        return self.accepted or self.config

    @cached_property
    def before(self) -> Context:
        """This change judged by the base's configuration alone; what it moved to a new place counts there.

        It is this context where the base's configuration is in force as it was.
        """
        if self.accepted is None or self.config.values == self.accepted.values:
            return self
        from orchgate.packets.layout import layout_with_moved

        documents = self.limits.documents._replace(task_index=self.config.documents.task_index)
        layout = layout_with_moved(self.limits.documents, self.proposed.documents, self.scope.changes)
        return self._replace(config=self.limits._replace(documents=documents), layout=layout, share=ALL)
