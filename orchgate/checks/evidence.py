"""Do the links of the documents lead to evidence that exists, is theirs, and shows what they claim?"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchgate.evidence.cited import Runs
from orchgate.evidence.judge import Judge
from orchgate.evidence.owners import Owners
from orchgate.evidence.ticked import may_lack_evidence, ticked_findings
from orchgate.git.snapshot import SUBMODULE, SYMLINK
from orchgate.globs import matches
from orchgate.model import Check, Finding, Outcome, Rule, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orchgate.context import Context
    from orchgate.model import Trouble

_MANY = 200  # vanished paths; from here on reading every document is cheaper than searching for names

RULES = (
    Rule(
        "EVD001",
        "target missing",
        Severity.ERROR,
        what="A path that the text relies on is neither in the judged tree nor an artifact on disk under the evidence "
        "roots. Markdown links are always checked; code spans where the text claims that something is there.",
        why="A reviewer who follows the link finds nothing, so the claim rests on nothing.",
        bad="- [x] Tests pass - Evidence: `.runs/0001-demo/cli/…/manifest.json`, which was deleted",
        good="the same line after the run was recorded again and linked",
    ),
    Rule(
        "EVD002",
        "placeholder never filled in",
        Severity.ERROR,
        what="A ticked item, or a status line of a finished packet, still says `<run-id>` or the like where the path "
        "of a run belongs. Instructions and templates may say it.",
        why="The claim was made before its evidence existed, and nobody came back.",
        bad="- [x] Gate passed - Evidence: `.runs/0001-demo/cli/<run-id>/manifest.json`",
        good="- [x] Gate passed - Evidence: `.runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json`",
    ),
    Rule(
        "EVD003",
        "machine-local path",
        Severity.ERROR,
        what="Evidence lies in somebody's home or temporary folder: `/Users/…`, `/home/…`, `~/…`, `C:\\…`, `file://`.",
        why="Nobody else can open it, and soon its author cannot either.",
        bad="- Review log: `~/sessions/review/output.log`",
        good="- Review log: `out/0001-demo/review/output.log`",
    ),
    Rule(
        "EVD004",
        "leaves the repository",
        Severity.ERROR,
        what="A path climbs above the repository's top level, or passes a symbolic link that points outside.",
        why="What it shows depends on what happens to lie beside the checkout.",
        bad="- Manifest: `../../.runs/0001-demo/metrics.json` in docs/",
        good="- Manifest: `.runs/0001-demo/metrics.json`",
    ),
    Rule(
        "EVD005",
        "ticked item without evidence",
        Severity.ERROR,
        what="A ticked item of a checklist, or of an action plan's Progress, has an empty `Evidence:`. One that names "
        "no evidence at all is a warning in a checklist and a note under Progress.",
        why="A tick is a claim; without evidence it is only an opinion.",
        bad="- [x] Benchmarks recorded - Evidence:",
        good="- [x] Benchmarks recorded - Evidence: `out/0001-demo/state.json`",
    ),
    Rule(
        "EVD006",
        "another task's evidence",
        Severity.WARNING,
        what="A claim of one task's packet rests on a run of another task. Helpers whose name begins with the task's, "
        "such as `<task>-scout`, count as its own.",
        why="Usually the line was copied from the packet before, and shows what that task did.",
        bad="- Manifest: `.runs/0001-other/metrics.json` in the packet of 0002-demo",
        good="- Manifest: `.runs/0002-demo/metrics.json`",
    ),
    Rule(
        "EVD007",
        "cited run did not succeed",
        Severity.ERROR,
        what="The manifest that a claim rests on says that the run failed, was cancelled, or never ended. A text that "
        "says so itself (`Failed run: …`) cites it knowingly and is not reported.",
        why="It is evidence of the opposite.",
        bad="- [x] Gate passed - Evidence: `….json`, whose status is failed",
        good="- Failed attempt (timeout): `….json`, or the manifest of the run that passed",
    ),
    Rule(
        "EVD010",
        "required run kind not linked",
        Severity.ERROR,
        what="A finished packet links no run of a pipeline that `evidence.required-runs` names, or not both the run "
        "before and the one after the change.",
        why="A comparison needs both sides.",
        bad='required-runs = ["diagnostics:before", "diagnostics:after"], and only the baseline is linked',
        good="- Baseline: `….json` and - After the change: `….json`",
    ),
    Rule(
        "EVD013",
        "anchor missing",
        Severity.WARNING,
        what="A link's `#anchor` is no heading's anchor, as GitHub makes them, and no HTML id of the document.",
        why="The link opens the document at its top, and the reader searches for what was meant.",
        bad="[results](#result) above a heading `## Results`",
        good="[results](#results)",
    ),
)


def run(ctx: Context) -> Outcome:
    packets = Owners(ctx.packets, ctx.document, whole=ctx.scope.whole_tree)
    runs = Runs(ctx.snapshot, ctx.artifacts, ctx.config.manifests.max_bytes)
    judge = Judge(ctx.snapshot, ctx.artifacts, packets, runs, ctx.document)
    paths = [path for path in _candidates(ctx) if _is_checked(ctx, path)]
    findings: list[Finding] = []
    troubles: list[Trouble] = []
    examined = 0
    for part in ctx.share(paths):
        documents, more = ctx.documents(part)
        troubles += more
        examined += len(documents)
        for document in documents:
            findings += judge.findings(document)
            if may_lack_evidence(document.text):
                findings += ticked_findings(document, packets.kinds(document.path))
    if ctx.leads:
        findings += _required(ctx, packets, runs, paths)
    gone = _vanished(ctx)
    if gone:
        others, more = ctx.documents(_mentioning(ctx, gone, frozenset(paths)))
        troubles += more
        examined += len(others)
        for document in others:
            findings += judge.vanished(document, gone)
    return Outcome(
        tuple(sorted(findings, key=lambda finding: finding.location)),
        {"documents": examined, "links": judge.links},
        troubles=(*troubles, *judge.troubles.values()),
    )


def _candidates(ctx: Context) -> Iterable[str]:
    if ctx.scope.whole_tree:
        return ctx.snapshot.entries
    return [change.path for change in ctx.scope.require_changes() if not change.deleted]


def _is_checked(ctx: Context, path: str) -> bool:
    settings = ctx.config.evidence
    if not matches(path, settings.documents) or matches(path, settings.exclude):
        return False
    entry = ctx.snapshot.entries.get(path)
    return entry is not None and entry.mode not in (SYMLINK, SUBMODULE)


def _vanished(ctx: Context) -> frozenset[str]:
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


def _mentioning(ctx: Context, gone: frozenset[str], judged: frozenset[str]) -> list[str]:
    """Documents outside the change that may point at what it took away."""
    names = sorted({path.rpartition("/")[2] for path in gone})
    found = ctx.snapshot.mentioning(names) if len(names) <= _MANY else ctx.snapshot.entries
    return [path for path in sorted(found) if path not in judged and _is_checked(ctx, path)]


def _required(ctx: Context, packets: Owners, runs: Runs, paths: list[str]) -> Iterator[Finding]:
    required = ctx.config.evidence.required_runs
    if not required:
        return
    from orchgate.evidence.required import missing_runs

    judged = {packet.anchor: packet for path in paths for packet in packets.of(path)}
    for packet in judged.values():
        if packets.is_finished(packet):
            yield from missing_runs(packet, required, ctx.document, ctx.artifacts, runs)


CHECK = Check("evidence", "links lead to evidence that exists and supports the claim", RULES, run)
