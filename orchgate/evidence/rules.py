"""What the rules about evidence are for, and where the lock lies that some of them speak of."""

from __future__ import annotations

from orchgate.model import Rule, Severity

LOCK = ".orchgate/evidence.lock"
RULES = (
    Rule(
        "EVD001",
        "target missing",
        Severity.ERROR,
        what="A path that the text relies on is neither in the judged tree, nor pinned by its evidence lock, nor an "
        "artifact on disk under the evidence roots; or `[text][label]` has no definition in its document. Markdown "
        "links are always checked; code spans where the text claims that something is there.",
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
        what="A ticked item of a checklist, or of an action plan's Progress, has an empty `Evidence:`; or it names no "
        "evidence at all, states a result, and its packet is finished. One that names none in a packet that is still "
        "open, or that is a step of paperwork, is a warning in a checklist and a note under Progress.",
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
        what="The manifest that a claim rests on, or its pin, says that the run failed, was cancelled, or never ended. "
        "A text that says so itself (`Failed run: …`) cites it knowingly and is not reported.",
        why="It is evidence of the opposite.",
        bad="- [x] Gate passed - Evidence: `….json`, whose status is failed",
        good="- Failed attempt (timeout): `….json`, or the manifest of the run that passed",
    ),
    Rule(
        "EVD008",
        "artifact changed since it was pinned",
        Severity.ERROR,
        what="An artifact on disk is not the one that `.orchgate/evidence.lock` pins: another size, another hash, or a "
        "manifest that says otherwise than the lock. Files that grow by lines may have grown; files that every run "
        "writes anew (`state.json`, `aggregate.json`) are a warning.",
        why="What the reviewer fetches is not what the author looks at, or the evidence was edited.",
        bad="- [x] Tests pass - Evidence: `….json`, in which failed became succeeded after it was pinned",
        good="the artifact as its run wrote it, or pinned again by `orchgate evidence pin`",
    ),
    Rule(
        "EVD009",
        "only on this machine",
        Severity.ERROR,
        what="A claim rests on an artifact that is on disk but neither in the judged tree nor pinned by its "
        "`.orchgate/evidence.lock`. Weighs what EVD001 weighs on a clean clone; a repository without a lock is not "
        "asked for one.",
        why="It exists for whoever recorded it; for everybody else the link leads nowhere.",
        bad="- [x] Tests pass - Evidence: `….json`, a run of a minute ago",
        good="the same line after `orchgate evidence pin` and `git add .orchgate`",
    ),
    Rule(
        "EVD010",
        "required run kind not linked",
        Severity.ERROR,
        what="A finished packet links no run of a pipeline that `evidence.required-runs` names, or not both the run "
        "before and the one after the change. By default these are diagnostics before and after and "
        "implementation-gate, each only where the configuration defines that pipeline.",
        why="A comparison needs both sides.",
        bad='required-runs = ["diagnostics:before", "diagnostics:after"], and only the baseline is linked',
        good="- Baseline: `….json` and - After the change: `….json`",
    ),
    Rule(
        "EVD011",
        "before/after summary does not match its runs",
        Severity.ERROR,
        what="A number in a summary that `orchgate evidence summarize` wrote differs from what the runs it names "
        "say, or the summary cannot be recomputed: it was damaged, or a run of it is neither here nor pinned.",
        why="A table of gains is the first thing a reviewer believes and the last thing anybody recomputes by hand.",
        bad="`| wall time | 70.2 s | 35.1 s | -50.0 % |` above two runs that took 70.2 s and 70.1 s",
        good="the same table after `orchgate evidence summarize`, with the change its runs show",
    ),
    Rule(
        "EVD012",
        "run is of another tree",
        Severity.ERROR,
        what="A claim that a change adds cites a run of something else than what lands: the tree that the run "
        "recorded, files that no commit held included, differs from the judged one in more than documents and "
        "artifacts, or in what the run's pipeline declares as `inputs`, where all its stages declare them. A claim "
        "that says before or baseline is held to the base. Files that only lay there untracked are a warning. A "
        "manifest that names no tree is refused, or noted under the profile codex-orchestrator. Older claims are not "
        "asked again.",
        why="It shows that something passed, but not what is about to land.",
        bad="- [x] Gate: `….json`, recorded before the last fix",
        good="- [x] Gate: `….json`, recorded with the fix, committed or not",
    ),
    Rule(
        "EVD013",
        "anchor or line missing",
        Severity.WARNING,
        what="A link's `#anchor` is no heading's anchor, as GitHub makes them, and no HTML id of the document; or a "
        "text names a line (`path:12`, `#L10`, `#L3-L9`) that its file does not have.",
        why="The link opens the document at its top, and the reader searches for what was meant.",
        bad="[results](#result) above a heading `## Results`; `src/m.py:400` in a file of 80 lines",
        good="[results](#results); `src/m.py:40`",
    ),
    Rule(
        "EVD015",
        "run artifact gets tracked",
        Severity.NOTE,
        what="A change adds files of recorded runs to git: something below the evidence roots that git did not track.",
        why="Every run adds files, and a repository never gets smaller again. A pin holds what documents cite, and "
        "`orchgate evidence push` brings it to others.",
        bad="git add . before `.runs/` was ignored",
        good="`.runs/` in .gitignore (`orchgate init` adds it), and `orchgate evidence pin`",
    ),
)
