"""`orchgate new`: the documents of a task's packet, from the templates."""

from __future__ import annotations

import os
import re
import sys

from orchgate.commands.new import packet
from orchgate.commands.new.packet import CONFIGURED, PacketPlan
from orchgate.commands.shared import options, work_tree
from orchgate.config.load import load_work_tree
from orchgate.errors import OrchgateError, Unreadable, UsageError, quoted
from orchgate.lib import files, locks
from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._escape import escape
from orchgate.packets.layout import Layout, layout_of
from orchgate.packets.tasks import MAX_BYTES, TaskList, decode, read_task_list, with_item

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Mapping

    from orchgate.commands.new.packet import Begun
    from orchgate.config.settings import Documents

SUMMARY = "write the documents of a new task from the templates"
ABOUT = """\
Takes the next free four-digit number, and the words of SLUG as the title. What a
call that was killed has left, the same call completes."""
EXAMPLES = ("orchgate new faster-start", 'orchgate new faster-start --title "Start in half the time" --dry-run')
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
VERSION = 1


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("slug", metavar="SLUG", help="the name of the task, such as faster-start")
    parser.add_argument(
        "--task", default="", metavar="ID", help="the id of the task, or its number (the next free one)"
    )
    parser.add_argument("--title", default="", metavar="TEXT", help="the title of the documents (the words of SLUG)")
    parser.add_argument("--mini-spec", action="store_true", help="write a mini-spec, too")
    parser.add_argument("--dry-run", action="store_true", help="print what would be written, and write nothing")
    options.output_format(parser, "new-task")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.gate import session

    with session.opened() as repository:
        root = repository.root
    if not root:
        raise OrchgateError("a bare repository has no work tree to write to", "run it in a clone")
    settings = load_work_tree(root).documents
    if args.dry_run:
        plan = plan_packet(root, settings, args.slug, args.task, args.title, mini_spec=args.mini_spec)
        _show(plan, _missing(root, plan), args)
        return Verdict.PASS
    with locks.held(root, "tasks", "orchgate new"):  # or two would find the same number free
        plan = plan_packet(root, settings, args.slug, args.task, args.title, mini_spec=args.mini_spec)
        missing = _missing(root, plan)
        packet.write(root, plan)
    _show(plan, missing, args)
    sys.stdout.flush()
    packet.forget_begun(root, args.slug)  # the very last: until then a second call goes on where this one was killed
    return Verdict.PASS


def _missing(root: str, plan: PacketPlan) -> list[str]:
    """The documents of a plan that are not there yet."""
    return [path for path in plan.files if not os.path.lexists(os.path.join(root, path))]


def _show(plan: PacketPlan, missing: list[str], args: argparse.Namespace) -> None:
    if args.output_format == "text":
        _tell(plan, missing, dry_run=args.dry_run)
        return
    from orchgate.outputs._document import headed

    listed = plan.tasks[0] if plan.tasks else None
    facts = {
        "task_id": plan.task,
        "slug": plan.slug,
        "title": plan.title,
        "written": not args.dry_run,
        "documents": list(plan.files),
        "new_documents": missing,
        "task_list_path": listed,
        "was_unfinished": bool(plan.begun.task),
    }
    work_tree.print_json(headed("new-task", facts, VERSION))


def _tell(plan: PacketPlan, missing: Iterable[str], *, dry_run: bool) -> None:
    verb = "would write" if dry_run else "wrote"
    lines = [f"{verb} {path}" for path in missing]
    if plan.tasks:
        lines.append(f"{verb} {plan.tasks[0]} (added {plan.task})")
    if plan.begun.task:
        lines.insert(
            0,
            f"{plan.task} was left unfinished before: "
            + ("this is what was missing" if lines else "nothing is missing"),
        )
    if not dry_run:
        added = " ".join(map(quoted, [*plan.files, *([plan.tasks[0]] if plan.tasks else [])]))
        lines.append(f"next: fill in {next(iter(plan.files))}, then see what is still missing:")
        lines.append(f"  git add {added} && orchgate check documents")
    sys.stdout.writelines(escape(line) + "\n" for line in lines)


def plan_packet(
    root: str, settings: Documents, slug: str, task: str, title: str, *, mini_spec: bool = False
) -> PacketPlan:
    """What a new packet consists of, or what is missing of one whose writer was killed.

    Raises UsageError for a bad name, OrchgateError for a file that exists already.
    """
    _check_slug(slug)
    begun = packet.unfinished(root, slug)
    title = _checked_title(title or begun.title or slug.replace("-", " ").capitalize())
    layout = layout_of(settings)
    index = _index(root, settings.task_index)
    task = _task_name(slug, task) if task else _free_name(root, layout, index, slug, begun)
    chosen = _chosen(layout, _kinds(settings, mini_spec=mini_spec or begun.mini_spec), slug, task)
    listed = _refuse_clashes(root, task, chosen, index, begun)
    fields = {"title": title, "task": task, "slug": slug, "date": _today(), **dict.fromkeys(TEMPLATES, ""), **chosen}
    texts = {path: filled(files.read_data("templates", TEMPLATES[kind]), fields) for kind, path in chosen.items()}
    entry = _entry(task, slug, title, next((chosen[kind] for kind in ("checklist", *chosen) if kind in chosen), ""))
    tasks = (index.path, with_item(index.path, index.text, entry)) if index and not listed else None
    return PacketPlan(task, texts, tasks, slug, title, "mini-spec" in chosen, begun)


def _kinds(settings: Documents, *, mini_spec: bool) -> list[str]:
    """The kinds of document to write: those that every packet needs, or the first that has a place where none is."""
    places = settings.places
    if mini_spec and not places["mini-spec"]:
        raise UsageError("--mini-spec: documents.paths.mini-spec names no place", CONFIGURED)
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
    filled = (line for line in lines if all(fields[name] for name in _FIELD.findall(line)))
    return "".join(_FIELD.sub(lambda match: fields[match[1]], line) for line in filled)


def _check_slug(slug: str) -> None:
    if _SLUG.fullmatch(slug) and len(slug) <= LONGEST_NAME:
        return
    near = "-".join(re.findall(r"[a-z0-9]+", slug.lower()))[:LONGEST_NAME].strip("-")
    hint = f"orchgate new {near}" if near else "orchgate new faster-start"
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


def _index(root: str, path: str) -> TaskList | None:
    if not path or not os.path.lexists(os.path.join(root, path)):
        return None
    full = packet.inside(root, path)
    try:
        content = files.read(full, MAX_BYTES)
        return read_task_list(path, content)._replace(text=decode(path, content))
    except OSError as error:
        raise OrchgateError(f"{path} cannot be read: {error.strerror}") from error
    except Unreadable as error:
        raise OrchgateError(f"{path} {error.message}", "fix it first; nothing was written") from error


def _free_name(root: str, layout: Layout, index: TaskList | None, slug: str, begun: Begun) -> str:
    """The task that was begun, or else one more than the highest four-digit id among files, list and what was begun."""
    others = {place.task for place in layout.documents_among(work_tree.task_documents(root, layout))} - {
        begun.task,
        None,
    }
    others |= {item.id for item in index.items if begun.task not in item.names} if index else set()
    others |= set(packet.unfinished_tasks(root)) - {begun.task}
    used = {int(match[1]) for name in others if (match := _NUMBER.match(name or ""))}
    own = _NUMBER.match(begun.task)
    if begun.task and not (own and int(own[1]) in used):
        return begun.task
    return f"{max(used, default=0) + 1:04d}-{slug}"


def _refuse_clashes(root: str, task: str, chosen: Mapping[str, str], index: TaskList | None, begun: Begun) -> bool:
    """Whether the list has the task already, which only one that was begun may. Raises UsageError, OrchgateError."""
    if len(set(chosen.values())) < len(chosen):
        raise UsageError(f"two documents would be one file: {', '.join(chosen.values())}", CONFIGURED)
    for path in chosen.values():
        if os.path.lexists(packet.inside(root, path)) and path not in begun.documents:
            raise OrchgateError(f"{path} already exists; nothing was written", "choose another slug or --task")
    listed = index is not None and any(task in item.names for item in index.items)
    if index and listed and task != begun.task:
        raise OrchgateError(f"{index.path} already lists {task}; nothing was written", "choose another slug or --task")
    return listed


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
