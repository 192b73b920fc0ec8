"""`orchgate evidence summarize`: writes what runs cost before and after a change into the task's action plan."""

from __future__ import annotations

import os
import sys

from orchgate.commands.shared import options, work_tree
from orchgate.errors import OrchgateError, UsageError, quoted
from orchgate.lib import files, locks
from orchgate.lib.paths import require_real
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.model import Verdict
from orchgate.outputs._document import headed
from orchgate.outputs._escape import escape
from orchgate.runs import ids, journal, locate
from orchgate.runs.run import from_manifest

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Mapping, Sequence

    from orchgate.commands.shared.command_line import Parser
    from orchgate.evidence.copied_runs import Examined
    from orchgate.evidence.lock import RunFacts
    from orchgate.evidence.lock_checks import SizeLimits
    from orchgate.runs.run import Tool


SUMMARY = "write a table of runs before and after a change into the task's action plan"
ABOUT = "The table replaces an older one of the same pipeline. Runs of another clone are copied here."
EXAMPLES = ("orchgate evidence summarize --task 0001-faster-start --before RUN --after RUN",)
EXIT_CODES = {1: "--check would change the plan", 3: "a run or the plan cannot be read"}
SECTION = "Artifacts and Notes"
MOST_RUNS = 50
VERSION = 1
MAX_BYTES = 64 * 1024 * 1024  # of the plan, and of a manifest


class SummaryRun(NamedTuple):
    """A run: what it claims, where it comes from ("" for here), and what is to be brought, None for nothing."""

    facts: RunFacts
    origin: str = ""
    elsewhere: Examined | None = None
    tools: tuple[Tool, ...] = ()


def arguments(parser: Parser) -> None:
    work_tree.task_option(parser, "the task whose action plan is written", required=True)
    for side in ("before", "after"):
        help_ = f"runs {side} the change: ids, or manifests or folders of runs, of another clone or work tree as well"
        parser.add_argument(f"--{side}", nargs="+", required=True, metavar="RUN", help=help_)
    parser.add_argument("--section", default=SECTION, metavar="TITLE", help="where it goes (%(default)s)")
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 when the plan would change")
    options.output_format(parser, "evidence-summary")


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.evidence import summary

    root = work_tree.root()
    before, after = (_named(root, runs, args.task) for runs in (args.before, args.after))
    both = sorted(before.keys() & after.keys())
    if both:
        raise UsageError(f"{both[0]} is named before and after the change", "name each run once")
    known = {**before, **after}
    facts = {path: one.facts for path, one in known.items()}
    pipeline = _pipeline(facts)
    plan = _action_plan(root, args.task)
    brought = [] if args.check else [line for path, one in known.items() for line in _bring(root, path, one)]
    if args.output_format == "text":
        sys.stdout.writelines(escape(line) + "\n" for line in brought)
    origins = {path: one.origin for path, one in known.items() if one.origin}
    block = summary.render(pipeline, list(before), list(after), facts.__getitem__, origins=origins)
    if args.check:
        changed = _update(root, plan, block, pipeline, args.section, write=False)
    else:
        with locks.held(root, "plans", "orchgate evidence summarize"):  # another pipeline's table goes there, too
            changed = _update(root, plan, block, pipeline, args.section, write=True)
    differing = _other_tools(before, after)
    if args.output_format == "json":
        told: dict[str, object] = {
            "before": list(before),
            "after": list(after),
            "markdown": block,
            "notes": brought + differing,
        }
        told |= {"plan_path": plan, "pipeline_id": pipeline, "changed": changed, "written": changed and not args.check}
        work_tree.print_json(headed("evidence-summary", told, VERSION))
    else:
        _tell(plan, block, differing, changed=changed, checking=args.check)
        if changed and not args.check:
            sys.stdout.write(escape(f"  hint: orchgate evidence pin --task {quoted(args.task)}") + "\n")
    return Verdict.FAIL if args.check and changed else Verdict.PASS


def _other_tools(before: Mapping[str, SummaryRun], after: Mapping[str, SummaryRun]) -> list[str]:
    """What else may be why the two sides differ; nothing of it goes into the table, which is about the change."""
    from orchgate.tools.differences import differences, sentence

    old, new = ([tool for one in side.values() for tool in one.tools] for side in (before, after))
    found = differences(old, new)
    return [f"tools differ, too: {sentence(found)}"] if found else []


def _named(root: str, runs: Sequence[str], task: str) -> dict[str, SummaryRun]:
    """The runs of one side by the repository path of their manifests, in the order of time, each once."""
    if len(runs) > MOST_RUNS:
        raise UsageError(f"{len(runs)} runs on one side, limit {MOST_RUNS}", "name those that matter")
    found: dict[str, SummaryRun] = {}
    for name in runs:
        path, one = _examined(root, name, task)
        if path in found and not _same(found[path], one):
            raise UsageError(f"{name} is another run than one of the same id beside it", "name the one that is real")
        found.setdefault(path, one)
    return dict(sorted(found.items(), key=lambda one: one[0].split("/")[-2]))


def _update(root: str, plan: str, block: str, pipeline: str, section: str, *, write: bool) -> bool:
    """Puts the block into the plan as it is by now; whether that is, or would be, another text."""
    require_real(root, plan)
    full = os.path.join(root, plan)
    text, newline = _read(full, plan)
    changed = _placed(plan, text, block, pipeline, section)
    if changed != text and write:
        files.replace(full, changed.replace("\n", newline).encode("utf-8"))
    return changed != text


def _pipeline(known: dict[str, RunFacts]) -> str:
    """The pipeline that all runs are of. Raises UsageError."""
    pipelines = {facts.pipeline: path for path, facts in known.items()}
    if len(pipelines) > 1:
        one, other = sorted(pipelines)[:2]
        raise UsageError(f"{pipelines[one]} is a run of {one}, {pipelines[other]} of {other}", "compare like with like")
    for path, facts in known.items():
        if facts.status == "in_progress":
            raise UsageError(f"{path} is still in progress", "orchgate status --follow")
    return next(iter(pipelines))


def _action_plan(root: str, task: str) -> str:
    """The repository path of the task's action plan. Raises UsageError."""
    from orchgate.config.load import load_work_tree
    from orchgate.git.snapshot import WorkTree
    from orchgate.packets.catalog import Packets

    packets = Packets(load_work_tree(root).documents, WorkTree(root))
    packet = work_tree.packet_of_task(packets.all, task)
    if "action-plan" not in packet.documents:
        raise UsageError(f"task {packet.name} has no action plan", "write one")
    return packet.documents["action-plan"]


def _read(full: str, plan: str) -> tuple[str, str]:
    """A plan's text with plain line breaks, and the line break it is written with. Raises OrchgateError."""
    try:
        text = files.read(full, MAX_BYTES).decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise OrchgateError(f"{plan} cannot be read: {error}", "it has to be text in UTF-8") from error
    plain = text.replace("\r\n", "\n")
    newline = "\r\n" if "\r\n" in text else "\n"
    if plain.replace("\n", newline) != text or "\r" in plain:
        raise OrchgateError(f"{plan} mixes line breaks of several kinds", "let an editor write it with one kind")
    return plain, newline


def _placed(plan: str, text: str, block: str, pipeline: str, section: str) -> str:
    """The plan with the block. Raises OrchgateError where an old one is damaged."""
    from orchgate.evidence import summary

    for found in summary.blocks(text):
        if isinstance(found, summary.Cut):
            line = text.count("\n", 0, found.offset) + 1
            raise OrchgateError(f"{plan}:{line}: {found.message}", "delete what is left of it, and run this again")
        if found.pipeline == pipeline:
            return summary.place(text, block, found, 0)
    from orchgate.markdown.document import Document
    from orchgate.packets.sections import first_titled

    there = first_titled(Document(plan, text.encode("utf-8")), section)
    if there is None:
        text = f"{text.rstrip()}\n\n## {section}\n"
    return summary.place(text, block, None, len(text) if there is None else there.end)


def _tell(plan: str, block: str, notes: Sequence[str], *, changed: bool, checking: bool) -> None:
    verb = "would be written" if checking else "written"
    lines = [line for line in block.splitlines() if line.startswith("|")]
    sys.stdout.writelines(escape(line) + "\n" for line in (*lines, *notes))
    sys.stdout.write(escape(f"{plan}: {verb if changed else 'unchanged'}") + "\n")


def _examined(root: str, name: str, task: str) -> tuple[str, SummaryRun]:
    """The repository path of a run's manifest, here or once it is brought, and the run. Raises OrchgateError."""
    from orchgate.evidence import copied_runs
    from orchgate.evidence.facts import facts_of

    folder = work_tree.locate(root, name, task)[1]
    path = _path(root, os.path.join(folder, ids.MANIFEST))
    try:
        if path:
            full = os.path.join(root, path)
            known = copied_runs.beside(full)
            run = from_manifest(journal.require_file(full, MAX_BYTES), full)
            return path, SummaryRun(facts_of(run), known.words if known else "", tools=run.tools)
        found = copied_runs.examine(root, folder, _limits(root))
    except OrchgateError as error:
        raise _about(path or name, error) from error
    target = os.path.relpath(os.path.join(found.target, ids.MANIFEST), root)
    words = copied_runs.origin_of(found, os.environ).words
    return target, SummaryRun(facts_of(found.run), words, found, found.run.tools)


def _same(one: SummaryRun, other: SummaryRun) -> bool:
    """Whether two that would be one run here are the same; of one that is here already, `_bring` finds out."""
    if one.elsewhere and other.elsewhere:
        return one.elsewhere.manifest == other.elsewhere.manifest and one.elsewhere.journal == other.elsewhere.journal
    return one.facts == other.facts


def _about(name: str, error: OrchgateError) -> OrchgateError:
    """The same error with the run that it is about."""
    named = OrchgateError(f"{name} {error.message}", error.hint)
    named.exit_code = error.exit_code
    return named


def _path(root: str, manifest: str) -> str:
    """The repository path of a manifest where runs of this repository lie; "" for one elsewhere."""
    from orchgate.config.load import load_work_tree

    top, real = os.path.realpath(root), os.path.realpath(os.path.dirname(manifest))
    path = os.path.relpath(os.path.join(real, ids.MANIFEST), top)
    return path if locate.place_of(path, load_work_tree(root).evidence.roots) else ""


def _limits(root: str) -> SizeLimits:
    from orchgate.config.load import load_work_tree
    from orchgate.evidence.lock_checks import SizeLimits

    config = load_work_tree(root)
    return SizeLimits(config.evidence.max_artifact_bytes, config.manifests.max_bytes)


def _bring(root: str, path: str, one: SummaryRun) -> Iterator[str]:
    """Copies a run that is elsewhere, with those that its program recorded itself; what it did, in words."""
    from orchgate.evidence import copied_runs

    if one.elsewhere is None:
        return
    limits = _limits(root)
    try:
        done = copied_runs.copy(one.elsewhere, limits, os.environ)
    except OrchgateError as error:
        raise _about(path, error) from error
    yield f"{path}: {'copied' if done.new else 'already here, and the same'} (from {one.origin})"
    yield from (f"  not copied: {left}" for left in done.left)
    for inner in copied_runs.copy_inner_runs(root, one.elsewhere, limits, os.environ):
        yield f"  {inner}"
