"""What the rules about evidence are for, and where the lock lies that some of them speak of."""

from __future__ import annotations

from orchgate.model import Rule, Severity

CHECK_ID = "evidence"  # of the check that reports these
LOCK = ".orchgate/evidence.lock"
RULES = (
    Rule(
        "EVD001",
        "target missing",
        Severity.ERROR,
        what="A path that the text relies on is neither in the judged tree, nor pinned by its evidence lock, nor an "
        "artifact on disk below the evidence roots; or `[text][label]` has no definition in the document. Links of a "
        "site's pages may also lead to what it serves, below `evidence.link-roots` where that is set. Markdown "
        "links are always checked, code spans where the text claims that something is there; where that claim is less "
        "certain, as in prose that names a file below a folder that exists, it is a warning.",
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
        why="The claim was made before its evidence existed, and nobody came back to it.",
        bad="- [x] Gate passed - Evidence: `.runs/0001-demo/cli/<run-id>/manifest.json`",
        good="- [x] Gate passed - Evidence: `.runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47/manifest.json`",
    ),
    Rule(
        "EVD003",
        "machine-local path",
        Severity.ERROR,
        what="Evidence is in somebody's home or temporary folder: `/Users/…`, `/home/…`, `~/…`, `C:\\…`, `file://`.",
        why="Nobody else can open it, and before long its author cannot either.",
        bad="- Review log: `~/sessions/review/output.log`",
        good="- Review log: `out/0001-demo/review/output.log`",
    ),
    Rule(
        "EVD004",
        "outside the repository",
        Severity.ERROR,
        what="A path goes above the top level of the repository, or through a symbolic link that points outside.",
        why="What it shows depends on what happens to be next to the checkout.",
        bad="- Manifest: `../../.runs/0001-demo/metrics.json` in docs/",
        good="- Manifest: `.runs/0001-demo/metrics.json`",
    ),
    Rule(
        "EVD005",
        "ticked item without evidence",
        Severity.WARNING,
        what="A ticked item of a checklist, or of an action plan's Progress section, names no evidence. While its "
        "packet is open, for items that are only paperwork, and below headings of what was left out (Non-Goals, "
        "Rejected …), this is a warning in a checklist and a note under Progress. It is an error where `Evidence:` is "
        "there but empty, and where the item states a result and its packet is finished.",
        why="A tick is a claim; without evidence it is only an opinion.",
        bad="- [x] Benchmarks recorded - Evidence:",
        good="- [x] Benchmarks recorded - Evidence: `out/0001-demo/state.json`",
        worst=Severity.ERROR,
    ),
    Rule(
        "EVD006",
        "another task's evidence",
        Severity.WARNING,
        what="A claim in one task's packet rests on a run of another task. Runs of helper tasks whose names begin with "
        "the task's name, such as `<task>-scout`, count as its own.",
        why="Usually the line was copied from an earlier packet, and shows what that task did.",
        bad="- Manifest: `.runs/0001-other/metrics.json` in the packet of 0002-demo",
        good="- Manifest: `.runs/0002-demo/metrics.json`",
    ),
    Rule(
        "EVD007",
        "cited run did not succeed",
        Severity.ERROR,
        what="The manifest that a claim rests on, or its pin, says that the run failed, was cancelled, or never ended. "
        "A text that says so itself (`Failed run: …`) is not reported.",
        why="It is evidence of the opposite.",
        bad="- [x] Gate passed - Evidence: `….json`, whose status is failed",
        good="- Failed attempt (timeout): `….json`, or the manifest of the run that passed",
    ),
    Rule(
        "EVD008",
        "artifact changed since it was pinned",
        Severity.ERROR,
        what="An artifact on disk is not the one that `.orchgate/evidence.lock` pins: its size or hash differs, or its "
        "manifest contradicts the lock. Files that grow line by line may have grown; files that every run rewrites "
        "(`state.json`, `aggregate.json`) are a warning.",
        why="What reviewers fetch is not what the author sees, or the evidence was edited.",
        bad="- [x] Tests pass - Evidence: `….json`, in which failed became succeeded after it was pinned",
        good="the artifact as its run wrote it, or pinned again by `orchgate evidence pin`",
    ),
    Rule(
        "EVD009",
        "only on this machine",
        Severity.ERROR,
        what="A claim rests on an artifact that is on disk but neither in the judged tree nor pinned by its "
        "`.orchgate/evidence.lock`. Its severity is what EVD001 would have on a clean clone. Repositories without a "
        "lock are not asked for one.",
        why="It exists for whoever recorded it; for everybody else the link leads nowhere.",
        bad="- [x] Tests pass - Evidence: `….json`, a run of a minute ago",
        good="the same line after `orchgate evidence pin` and `git add .orchgate`",
    ),
    Rule(
        "EVD010",
        "required run kind not linked",
        Severity.ERROR,
        what="A finished packet does not link a run of a pipeline that `evidence.required-runs` names, or lacks the "
        "run before or the run after the change. By default the required runs are diagnostics before and after and "
        "implementation-gate, each only where the configuration defines that pipeline.",
        why="A comparison needs both sides.",
        bad='required-runs = ["diagnostics:before", "diagnostics:after"], and only the baseline is linked',
        good="- Baseline: `….json` and - After the change: `….json`",
    ),
    Rule(
        "EVD011",
        "before/after summary does not match its runs",
        Severity.ERROR,
        what="A number in a summary written by `orchgate evidence summarize` differs from what the runs it names say, "
        "or the summary cannot be recomputed because it is damaged, or because one of its runs is neither here nor "
        "pinned. A summary that leaves out a metric of its runs is a warning.",
        why="A table of gains is the first thing a reviewer believes and the last thing anybody recomputes by hand.",
        bad="`| wall time | 70.2 s | 35.1 s | -50.0 % |` above two runs that took 70.2 s and 70.1 s",
        good="the same table after `orchgate evidence summarize`, with the change its runs show",
    ),
    Rule(
        "EVD012",
        "run is of another tree",
        Severity.ERROR,
        what="A claim that a change adds cites a run of a different tree than the one that lands: the tree that the "
        "run recorded, uncommitted files included, differs from the judged one in more than documents and artifacts, "
        "or in what the run's pipeline declares as `inputs` where all its stages declare them. A claim that says "
        "before or baseline is compared with the base. Files that were merely untracked are a warning. A manifest that "
        "does not record its tree is refused, or a note under the profile codex-orchestrator. Older claims are not "
        "checked again.",
        why="The run shows that something passed, but not what is about to land.",
        bad="- [x] Gate: `….json`, recorded before the last fix",
        good="- [x] Gate: `….json`, recorded with the fix, committed or not",
    ),
    Rule(
        "EVD013",
        "anchor or line missing",
        Severity.WARNING,
        what="A link's `#anchor` is neither the anchor of a heading, as GitHub makes them, nor an id written in the "
        "document (`{#id}`, HTML); or a text names a line (`path:12`, `#L10`, `#L3-L9`) that its file does not have.",
        why="The link opens the document at the top, and the reader has to search for what was meant.",
        bad="[results](#result) above a heading `## Results`; `src/m.py:400` in a file of 80 lines",
        good="[results](#results); `src/m.py:40`",
    ),
    Rule(
        "EVD014",
        "signature missing or wrong",
        Severity.ERROR,
        what="A claim that a change adds cites a run of a kind that `signatures.required` wants signed by a role, or a "
        "change finishes a packet whose required run has to be, and no signature in `.orchgate/signatures/` by a "
        "signer of that role holds: there is none, its key is unknown, expired, revoked or of another namespace, or "
        "what was signed is not the manifest, journal, tree and commit that the lock pins. The base's "
        "`.orchgate/allowed_signers` says whose signatures count; what the change revokes is revoked at once. Taking "
        "away or altering what an older claim was signed by is reported, too; else older claims are not asked again. "
        "Without a list of signers at the base, or without ssh-keygen, the check ends in exit code 3. No comment in a "
        "document makes an exception.",
        why="A pin says what a run was, not who says so: whoever writes the change can write manifest, journal and pin "
        "as well. A signature by a key that they do not have is what they cannot write.",
        bad='required = ["implementation-gate:ci"], and a gate run that only its author recorded',
        good="the run that CI recorded and signed with its own key, linked and pinned",
    ),
    Rule(
        "EVD015",
        "run artifact added to git",
        Severity.NOTE,
        what="The change adds files of recorded runs to git: files below the evidence roots that git did not track.",
        why="Every run adds files, and a repository never gets smaller again. A pin records what documents cite, and "
        "`orchgate evidence push` shares it with others.",
        bad="git add . before `.runs/` was ignored",
        good="`.runs/` in .gitignore (`orchgate init` adds it), and `orchgate evidence pin`",
    ),
    Rule(
        "EVD016",
        "item not proven by its command",
        Severity.ERROR,
        what="A ticked item names the command that proves it (`accept:` and a code span), and cites no run in which "
        "that command succeeded; or the command proves nothing, waits for somebody, or holds a placeholder. Runs that "
        "`orchgate tasks check TASK` made of this item count, others do not. An item that named a command before the "
        "change and is ticked without one is refused; one whose command the change rewrites, or whose run was made for "
        "another item with the same command, is a warning. Scenarios and sections have no box: they are held to their "
        "command once their packet is finished.",
        why="The item says itself what would show it; anything else that is linked shows something else.",
        bad="- [x] Import works - accept: `pytest -q tests/import`",
        good="the same line with - Evidence: `….json`, as `orchgate tasks check TASK --write` adds it",
    ),
)
