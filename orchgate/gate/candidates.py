"""Which documents the evidence check judges, each once, also where it has two names by a symbolic link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.errors import Unreadable
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.lib.globs import matches
from orchgate.model import Finding, Location, Severity

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from orchgate.gate.context import Context


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
    links = {path for path, entry in ctx.snapshot.entries.items() if entry.mode == SYMLINK} if gone else set()
    if links:
        from orchgate.references import symlinks

        led = symlinks.by_target(ctx.base)
        yield from (link for path in sorted(gone) for link in led.get(path, ()) if link in links)
