"""`orchgate new`: the documents of a task's packet, from the templates."""

from __future__ import annotations

import contextlib
import os
import re
import sys
from typing import TYPE_CHECKING, NamedTuple

from orchgate import files, resources, session
from orchgate.config.load import load_work_tree
from orchgate.documents.layout import Layout, layout_of
from orchgate.documents.tasks import MAX_BYTES, Index, decode, read_index, with_item
from orchgate.errors import OrchgateError, Unreadable, UsageError, quoted
from orchgate.inside import git_name, require_inside
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.patterns import lazy

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from orchgate.config.settings import Documents

SUMMARY = "write a task's packet from the templates"
TEMPLATES = {
    "prd": "PRD.md",
    "tech-spec": "TECH_SPEC.md",
    "action-plan": "ACTION_PLAN.md",
    "checklist": "CHECKLIST.md",
    "mini-spec": "MINI_SPEC.md",
}
_SLUG = lazy(r"[a-z0-9]+(?:-[a-z0-9]+)*")
_TASK = lazy(r"[A-Za-z0-9]+(?:[._-][A-Za-z0-9]+)*")
_NUMBER = lazy(r"(\d{4})(?:-|$)")
_FIELD = lazy(r"\{(title|task|slug|date|prd|tech-spec|action-plan|checklist|mini-spec)\}")
LONGEST_NAME = 120
CONFIGURED = "orchgate check --show-config prints where documents are expected"


class Plan(NamedTuple):
    """What would be written: new files by path, and the new text of the task list when there is one."""

    task: str
    files: Mapping[str, str]
    tasks: tuple[str, str] | None


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slug", metavar="SLUG", help="the task's name, such as faster-start")
    parser.add_argument("--task", default="", metavar="ID", help="the task's id (the next free four-digit number)")
    parser.add_argument("--title", default="", metavar="T", help="the title of the documents (the slug's words)")
    parser.add_argument("--mini-spec", action="store_true", help="write a mini-spec too")
    parser.add_argument("--dry-run", action="store_true", help="print what would be written, and write nothing")


def run(args: argparse.Namespace) -> Verdict:
    with session.opened() as repository:
        root = repository.root
    if not root:
        raise OrchgateError("a bare repository has no work tree to write to", "run it in a clone")
    settings = load_work_tree(root).documents
    plan = plan_packet(root, settings, args.slug, args.task, args.title, mini_spec=args.mini_spec)
    if not args.dry_run:
        write(root, plan)
    _tell(plan, dry_run=args.dry_run)
    return Verdict.PASS


def _tell(plan: Plan, *, dry_run: bool) -> None:
    verb = "would write" if dry_run else "wrote"
    lines = [f"{verb} {path}" for path in plan.files]
    if plan.tasks:
        lines.append(f"{verb} {plan.tasks[0]} (added {plan.task})")
    if not dry_run:
        added = " ".join(map(quoted, [*plan.files, *([plan.tasks[0]] if plan.tasks else [])]))
        lines.append(f"next: fill in {next(iter(plan.files))}, then see what is still owed:")
        lines.append(f"  git add {added} && orchgate check documents")
    sys.stdout.writelines(escape(line) + "\n" for line in lines)


def plan_packet(root: str, settings: Documents, slug: str, task: str, title: str, *, mini_spec: bool = False) -> Plan:
    """What a new packet consists of. Raises UsageError for a bad name, OrchgateError for a file that exists already."""
    _check_slug(slug)
    title = _checked_title(title or slug.replace("-", " ").capitalize())
    layout = layout_of(settings)
    index = _index(root, settings.task_index)
    task = _task_name(slug, task) if task else f"{_next_number(root, layout, index):04d}-{slug}"
    chosen = _chosen(layout, _kinds(settings, mini_spec=mini_spec), slug, task)
    _refuse_clashes(root, task, chosen, index)
    fields = {"title": title, "task": task, "slug": slug, "date": _today(), **dict.fromkeys(TEMPLATES, ""), **chosen}
    files = {path: filled(resources.read("templates", TEMPLATES[kind]), fields) for kind, path in chosen.items()}
    entry = _entry(task, slug, title, next((chosen[kind] for kind in ("checklist", *chosen) if kind in chosen), ""))
    return Plan(task, files, (index.path, with_item(index.path, index.text, entry)) if index else None)


def _kinds(settings: Documents, *, mini_spec: bool) -> list[str]:
    """The kinds of document to write: those that every packet needs, or the first that has a place where none is."""
    places = {"prd": settings.packets, **settings.places}
    if mini_spec and not places["mini-spec"]:
        raise UsageError("--mini-spec: documents.mini-spec names no place", CONFIGURED)
    kinds = [kind for kind in TEMPLATES if kind in settings.required or (mini_spec and kind == "mini-spec")]
    kinds = kinds or [kind for kind in TEMPLATES if places[kind]][:1]
    if not kinds:
        raise UsageError("no kind of document has a place, so there is nothing to write", CONFIGURED)
    return kinds


def _chosen(layout: Layout, kinds: Iterable[str], slug: str, task: str) -> dict[str, str]:
    """A path for each kind: the first of its places that no kind before it has."""
    chosen: dict[str, str] = {}
    for kind in kinds:
        paths = layout.paths(kind, slug=slug, task=task)
        chosen[kind] = next((path for path in paths if path not in chosen.values()), paths[0])
    return chosen


def filled(template: str, fields: Mapping[str, str]) -> str:
    """A template with its fields in place, in one pass, so that a title may hold braces of its own.

    A line that names a document which is not there is left out.
    """
    lines = template.splitlines(keepends=True)
    told = (line for line in lines if all(fields[name] for name in _FIELD.findall(line)))
    return "".join(_FIELD.sub(lambda match: fields[match[1]], line) for line in told)


def _check_slug(slug: str) -> None:
    if _SLUG.fullmatch(slug) and len(slug) <= LONGEST_NAME:
        return
    near = "-".join(re.findall(r"[a-z0-9]+", slug.lower()))[:LONGEST_NAME].strip("-")
    hint = f"try: orchgate new {near}" if near else "such as: orchgate new faster-start"
    message = f"slug {slug!r}: expected lower-case words joined by hyphens, at most {LONGEST_NAME} characters"
    raise UsageError(message, hint)


def _checked_title(title: str) -> str:
    if not title.isprintable() or not title.strip():
        raise UsageError(f"title {title!r}: expected one line of text")
    return title.strip()


def _task_name(slug: str, task: str) -> str:
    """`0007` and `0007-faster-start` are the same task of the slug `faster-start`; so is the slug itself."""
    if not _TASK.fullmatch(task) or len(task) > LONGEST_NAME:
        raise UsageError(f"task {task!r}: expected letters, digits and single hyphens or dots", "such as: --task 0007")
    return task if task == slug or task.endswith("-" + slug) else f"{task}-{slug}"


def _index(root: str, path: str) -> Index | None:
    if not path or not os.path.lexists(os.path.join(root, path)):
        return None
    full = _inside(root, path)
    try:
        content = files.read(full, MAX_BYTES)
        return read_index(path, content)._replace(text=decode(path, content))
    except OSError as error:
        raise OrchgateError(f"{path} cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise OrchgateError(f"{path} {error.message}", "mend it first; nothing was written") from error


def _next_number(root: str, layout: Layout, index: Index | None) -> int:
    """One more than the highest four-digit id among the files and the entries of the task list."""
    names = [place.task for place in layout.places(_existing(root, layout)) if place.task]
    names += [item.id for item in index.items] if index else []
    used = [int(match[1]) for name in names if (match := _NUMBER.match(name))]
    return max(used, default=0) + 1


def _existing(root: str, layout: Layout) -> Iterable[str]:
    import glob

    for pattern in layout.patterns:
        parts = re.split(r"\{slug\}|\{task\}", pattern.text)
        yield from glob.iglob("*".join(glob.escape(part) for part in parts), root_dir=root)


def _refuse_clashes(root: str, task: str, chosen: Mapping[str, str], index: Index | None) -> None:
    if len(set(chosen.values())) < len(chosen):
        raise UsageError(f"two documents would be one file: {', '.join(chosen.values())}", CONFIGURED)
    for path in chosen.values():
        if os.path.lexists(_inside(root, path)):
            raise OrchgateError(f"{path} already exists; nothing was written", "choose another slug or --task")
    if index and any(task in item.names for item in index.items):
        raise OrchgateError(f"{index.path} already lists {task}; nothing was written", "choose another slug or --task")


def _inside(root: str, path: str) -> str:
    """The place of a path in the work tree. Raises OrchgateError when it leads out of it, through a link too."""
    if os.path.isabs(path) or ".." in path.split("/"):
        raise OrchgateError(f"{path} leaves the repository; nothing was written", CONFIGURED)
    if named := git_name(path):
        raise OrchgateError(f"{path}: {named!r} is a name that git keeps for itself; nothing was written", CONFIGURED)
    full = os.path.join(os.path.realpath(root), path)
    require_inside(root, full)
    return full


def _entry(task: str, slug: str, title: str, path: str) -> dict[str, object]:
    identity = task.removesuffix("-" + slug) if task != slug else task
    return {
        "id": identity,
        "slug": slug,
        "title": title,
        "path": path,
        "kind": "prd",
        "status": "in-progress",
        "gate": {"phase": f"{slug}-planning", "status": "in-progress", "log": None, "run_id": None},
        "created_at": _today(),
        "completed_at": None,
    }


def _today() -> str:
    import datetime

    return datetime.datetime.now(datetime.UTC).date().isoformat()


def write(root: str, plan: Plan) -> None:
    """Writes all of a plan or nothing: on any failure what was made is removed again. Raises OrchgateError."""
    with contextlib.ExitStack() as undo:
        try:
            for path, text in plan.files.items():
                full = _inside(root, path)
                _make_folders(os.path.dirname(full), undo)
                with open(full, "x", encoding="utf-8", newline="") as file:
                    undo.callback(os.unlink, full)
                    file.write(text)
            if plan.tasks:
                _replace(_inside(root, plan.tasks[0]), plan.tasks[1])
        except OSError as error:
            name = os.path.relpath(os.fsdecode(error.filename), os.path.realpath(root)) if error.filename else "packet"
            raise OrchgateError(f"{name} cannot be written: {error.strerror}; nothing was kept") from error
        undo.pop_all()


def _make_folders(folder: str, undo: contextlib.ExitStack) -> None:
    missing: list[str] = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path)
        undo.callback(os.rmdir, path)


def _replace(full: str, text: str) -> None:
    """Puts a new text in a file's place, in one step, with the old one's permissions."""
    import shutil

    target = os.path.realpath(full)
    temporary = f"{target}.{os.getpid()}.new"
    try:
        with open(temporary, "x", encoding="utf-8", newline="") as file:
            file.write(text)
        shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise
