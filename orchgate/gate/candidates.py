"""Which documents the evidence check judges, each once, also where it has two names by a symbolic link."""

from __future__ import annotations

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.paths import matches
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.markdown.parts import is_markdown, is_mdx
from orchgate.model import Finding, Location, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

    from orchgate.gate.context import Context


_MANY = 200  # names; from here on reading every document is cheaper than searching for them


def judged_documents(ctx: Context) -> list[str]:
    """The documents whose links are judged, apart from those that mention what a change took away."""
    return [path for path in candidates(ctx) if is_checked(ctx, path)]


def candidates(ctx: Context) -> Collection[str]:
    """Paths that may be documents to judge."""
    if ctx.scope.whole_tree:
        return ctx.snapshot.entries
    return ctx.touched


def is_checked(ctx: Context, path: str) -> bool:
    """Whether a document's links are judged under this name: one that has two by a symbolic link is judged once."""
    if not _is_chosen(ctx, path):
        return False
    mode = ctx.snapshot.entries[path].mode
    if mode == SYMLINK:
        return _is_followed(ctx, path)
    return mode != SUBMODULE and not any(_is_followed(ctx, link) for link in ctx.documents.links.get(path, ()))


def _is_chosen(ctx: Context, path: str) -> bool:
    settings = ctx.config.evidence
    chosen = matches(path, settings.documents) and not matches(path, settings.exclude)
    return chosen and path in ctx.snapshot.entries


def _is_followed(ctx: Context, link: str) -> bool:
    """Whether what a symbolic link leads to is judged under the link's name: a packet's, or no document by itself."""
    if not _is_chosen(ctx, link):
        return False
    from orchgate.references.symlinks import target

    try:
        real = target(ctx.snapshot, link)
    except Unreadable:
        return False
    return not _is_chosen(ctx, real) or (_is_of_packet(ctx, link) and not _is_of_packet(ctx, real))


def _is_of_packet(ctx: Context, path: str) -> bool:
    return next(ctx.packets.layout.documents_among((path,)), None) is not None


def lost_links(ctx: Context) -> Iterator[Finding]:
    """Documents that are symbolic links and lead to no file of the repository, as the change writes or leaves them."""
    entries = ctx.snapshot.entries
    for path in dict.fromkeys((*candidates(ctx), *_bereaved(ctx))):
        if path in entries and entries[path].mode == SYMLINK and _is_chosen(ctx, path):
            from orchgate.references import symlinks

            try:
                symlinks.target(ctx.snapshot, path)
            except Unreadable as error:
                rule = "EVD004" if isinstance(error, symlinks.LeadsOut) else "EVD001"
                weight = Severity.NOTE if isinstance(error, symlinks.InSubmodule) else Severity.ERROR
                yield Finding(rule, Location(path), f"the document {error.message}", error.hint, weight)


def _bereaved(ctx: Context) -> Iterator[str]:
    """Links that led to what the change takes away."""
    changes = () if ctx.scope.whole_tree else ctx.scope.changes
    gone = {one.old_path or one.path for one in changes if one.deleted or one.old_path}
    indirect = ctx.snapshot.indirect if gone else ()
    links = {path for path in indirect if ctx.snapshot.entries[path].mode == SYMLINK}
    if links:
        from orchgate.references import symlinks

        led = symlinks.by_target(ctx.base)
        yield from (link for path in sorted(gone) for link in led.get(path, ()) if link in links)


def taken_away(ctx: Context) -> frozenset[str]:
    """Paths that the change deletes or renames away, and the folders that are empty now."""
    if ctx.scope.whole_tree:
        return frozenset()
    names = (change.path if change.deleted else change.old_path for change in ctx.scope.require_changes())
    gone = {name for name in names if name and name not in ctx.snapshot.entries}
    for path in tuple(gone):
        folder = path.rpartition("/")[0]
        while folder and folder not in ctx.snapshot.folders and folder not in gone:
            gone.add(folder)
            folder = folder.rpartition("/")[0]
    return frozenset(gone)


def mentioning(ctx: Context, gone: Iterable[str], names: Iterable[str], judged: frozenset[str]) -> list[str]:
    """Documents other than the judged ones that may point at paths that are gone, or that hold one of some names."""
    gone = tuple(gone)
    wanted = sorted({path.rpartition("/")[2] for path in gone} | _pages(ctx, gone) | set(names))
    found = ctx.snapshot.mentioning(wanted) if len(wanted) <= _MANY else ctx.snapshot.entries
    return [path for path in sorted(found) if path not in judged and is_checked(ctx, path)]


def _pages(ctx: Context, gone: Iterable[str]) -> set[str]:
    """What pages of a site that are gone are called in links without their suffix."""
    pages = [path for path in gone if is_markdown(path)]
    if not pages:
        return set()
    from orchgate.references.sites import is_configuration, page_name

    sites = ctx.config.evidence.link_roots or any(
        is_mdx(path) or is_configuration(path) for path in ctx.snapshot.entries
    )
    if not sites:
        return set()

    return {page_name(path) for path in pages} - {""}
