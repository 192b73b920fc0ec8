"""`orchgate try`: a throw-away repository in which some commits and pushes are refused, and others land."""

from __future__ import annotations

import os
import tempfile

from orchgate.errors import UsageError
from orchgate.lib.typed import TYPE_CHECKING
from orchgate.model import Verdict
from orchgate.outputs._escape import escape

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator, Sequence

    from orchgate.commands.playground.play import DemoStep, Play
    from orchgate.commands.shared.command_line import Parser

SUMMARY = "make a throw-away repository and watch commits and pushes land or be refused"
ABOUT = """\
Without FOLDER, in a temporary one, which stays. Nothing else is touched, and no network is needed. With --step, the
steps before are prepared unseen, without judging or measuring, and the folder is left as that step leaves it."""
EXAMPLES = ("orchgate try", "orchgate try --fast playground", "orchgate try --step 10", "orchgate try --history")


def arguments(parser: Parser) -> None:
    from orchgate.commands.shared.options import whole_number

    parser.add_argument(
        "folder", nargs="?", default="", metavar="FOLDER", help="an empty or new folder (a temporary one)"
    )
    parser.add_argument("--step", type=whole_number(1), metavar="N", help="show step N only (all of them)")
    parser.add_argument("--fast", action="store_true", help="skip the steps that measure or push")
    what = "walk through a history of many machines instead: two record and push runs, a third asks"
    parser.add_argument("--history", action="store_true", help=what)


def run(args: argparse.Namespace) -> Verdict:
    from orchgate.commands.playground.play import Play, tell
    from orchgate.commands.playground.scratch import Scratch
    from orchgate.commands.shared.command_line import columns

    steps = _steps(args)
    shown = _shown(args, steps)
    root = _folder(args.folder)
    width = min(columns(), 100)
    play = Play(Scratch(_repository(root, args), os.environ, columns=width - 4), columns=width)
    tell([f"in {escape(root)}", "… stands for lines that are left out here"])
    if args.step and args.step > 1:
        tell([f"what comes before step {args.step} is prepared unseen, without judging or measuring"])
    try:
        _walk(play, steps, shown)
    except KeyboardInterrupt:
        tell(["", f"Interrupted. To remove the folder:  rm -rf {escape(root)}"])
        raise
    tell(_closing(play, args, steps))
    return Verdict.PASS


def _steps(args: argparse.Namespace) -> Sequence[DemoStep]:
    if args.history:
        from orchgate.commands.playground import history

        return history.STEPS
    from orchgate.commands.playground.play import STEPS

    return STEPS


def _repository(root: str, args: argparse.Namespace) -> str:
    """Where the commands run: a walk of several machines has a folder for each."""
    from orchgate.commands.playground.history import LAPTOP

    return os.path.join(root, LAPTOP) if args.history else root


def _shown(args: argparse.Namespace, steps: Sequence[DemoStep]) -> tuple[int, ...]:
    """Numbers of the steps to be seen. Raises UsageError."""
    numbers = range(1, len(steps) + 1)
    if args.step and args.step not in numbers:
        raise UsageError(f"there is no step {args.step}; there are {len(steps)}", "orchgate try --step 1")
    if args.step and args.fast and steps[args.step - 1].slow:
        raise UsageError(f"step {args.step} is one that --fast skips", f"orchgate try --step {args.step}")
    if args.step:
        return (args.step,)
    return tuple(number for number in numbers if not (args.fast and steps[number - 1].slow))


def _walk(play: Play, steps: Sequence[DemoStep], shown: tuple[int, ...]) -> None:
    from orchgate.commands.playground.play import tell

    for number, step in enumerate(steps[: shown[-1]], 1):
        if number in shown:
            tell(["", f"{number}. {step.title}"])
            step.act(play)
        elif not (step.slow and len(shown) > 1):
            step.act(play._replace(seen=False))


def _folder(wanted: str) -> str:
    if not wanted:
        return os.path.realpath(tempfile.mkdtemp(prefix="orchgate-try-"))
    root = os.path.abspath(wanted)
    if os.path.lexists(root) and (not os.path.isdir(root) or os.listdir(root)):
        raise UsageError(f"{wanted} is not an empty folder", "name a new one, or none for a temporary one")
    os.makedirs(root, exist_ok=True)
    return root


def _closing(play: Play, args: argparse.Namespace, steps: Sequence[DemoStep]) -> Iterator[str]:
    yield ""
    if args.history:
        from orchgate.commands.playground import history

        yield from history.closing(play)
        return
    if args.fast and not args.step:
        skipped = [number for number, step in enumerate(steps, 1) if step.slow]
        yield f"Skipped steps {', '.join(map(str, skipped[:-1]))} and {skipped[-1]}, which measure or push. To see one:"
        yield f"  orchgate try --step {skipped[2]}"
        yield ""
    yield "Committed:"
    yield from (f"  {escape(oid)} {escape(subject)}" for oid, subject in reversed(play.scratch.history()))
    yield ""
    yield "The folder is yours to play with: change something, add it, commit it."
    yield f"  cd {escape(play.scratch.root)}"
    yield "Next, in a repository of your own:"
    yield "  orchgate init --dry-run"
