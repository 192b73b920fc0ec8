"""What the stages of a replay start from: this environment, led into the replayed tree where it leads into ours.

What it would find in the developer's work tree is not what was recorded: a package that is installed from there, a
folder of scripts. So each such place has its counterpart in the replayed tree before it; what git ignores, such as a
virtual environment, is in the developer's only, unless `performance.setup` makes one.
"""

from __future__ import annotations

import os

from orchgate.lib.lazy import lazy
from orchgate.lib.typed import TYPE_CHECKING, NamedTuple
from orchgate.runner import environment
from orchgate.runner.inputs import variables
from orchgate.speed import work_trees

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orchgate.runs.stages import Pipeline, Stage

_VENV, _PATH, _MODULES = "VIRTUAL_ENV", "PATH", "PYTHONPATH"
_OF_SHELLS = ("PWD", "OLDPWD")  # which say where they are
_LEFT = (_VENV, _PATH, _MODULES)  # variables that may lead into the developer's work tree without a word
# Names that a shell line sets itself.
_ASSIGNED = lazy(r"\b([A-Za-z_][A-Za-z0-9_]*)(?:=| in\b)|\bread (?:-r )?([A-Za-z_][A-Za-z0-9_]*)")


class ReplayEnvironment(NamedTuple):
    environ: dict[str, str]
    notes: tuple[str, ...]


def of(environ: Mapping[str, str], home: str, root: str) -> ReplayEnvironment:
    """The environment in the replayed tree at `root`, of the work tree at `home`, and what is to be known of it."""
    kept = {name: value for name, value in environment.unhooked(environ).items() if name not in _OF_SHELLS}
    home = os.path.realpath(home)
    installed = [one for venv in _venvs(kept) for one in work_trees.editable_folders(home, {_VENV: venv})]
    own = [os.path.join(folder, below) for _, folder in installed for below in ("", "src")]
    modules = [*_counterparts(own, home, root), *_led(kept.get(_MODULES, ""), home, root)]
    kept[_PATH] = os.pathsep.join(_led(kept.get(_PATH, ""), home, root))
    if modules:
        kept[_MODULES] = os.pathsep.join(dict.fromkeys(modules))
    return ReplayEnvironment(kept, tuple(_notes(kept, [name for name, _ in installed], home)))


def _venvs(environ: Mapping[str, str]) -> Iterator[str]:
    """The virtual environments that programs may be found in, once each."""
    folders = (os.path.dirname(os.path.normpath(one)) for one in environ.get(_PATH, "").split(os.pathsep) if one)
    on_path = (one for one in folders if os.path.exists(os.path.join(one, "pyvenv.cfg")))
    yield from dict.fromkeys((*filter(None, (environ.get(_VENV),)), *on_path))


def _led(places: str, home: str, root: str) -> Iterator[str]:
    """The folders of a variable such as PATH, each that is in our work tree behind its counterpart."""
    for place in filter(None, places.split(os.pathsep)):
        yield from _counterparts([place] if os.path.isabs(place) else [], home, root)
        yield place


def _counterparts(places: Iterable[str], home: str, root: str) -> Iterator[str]:
    for place in places:
        real = os.path.realpath(place)
        if real == home or real.startswith(home + os.sep):
            yield os.path.normpath(os.path.join(root, os.path.relpath(real, home)))


def _notes(environ: Mapping[str, str], installed: list[str], home: str) -> Iterator[str]:
    if installed:
        names = ", ".join(installed)
        yield f"{names}: installed from your work tree, imported from the replayed one instead ({_MODULES})"
    leading = sorted(name for name, value in environ.items() if name not in _LEFT and f"{home}/" in f"{value}/")
    if leading:
        yield f"{', '.join(leading)} in the environment: into your work tree, not the replayed one"


def lacking(
    pipelines: Mapping[str, Pipeline], pipeline: Pipeline, environ: Mapping[str, str], absent: str = ""
) -> dict[str, str]:
    """By stage, the variables that it names and that nobody has set: not the environment, not the stage itself.

    Of stages of sub-pipelines as `stage/inner`. `absent` is what no stage has, which is told where a stage names none.
    """
    found: dict[str, str] = {}
    for stage in pipeline.stages:
        inner = pipelines.get(stage.pipeline) if stage.pipeline else None
        if inner is not None:
            below = lacking(pipelines, inner, {**environ, **stage.env}, absent)
            found |= {f"{stage.id}/{name}": names for name, names in below.items()}
            names = ", ".join(dict.fromkeys(below[one.id] for one in inner.stages if one.id in below))
        else:
            names = ", ".join(_unset(stage, environ))
        if names or absent:
            found[stage.id] = names or absent
    return found


def _unset(stage: Stage, environ: Mapping[str, str]) -> Iterator[str]:
    ours = ("ORCHGATE_", environment.TRACEPARENT, *environment.NON_INTERACTIVE)
    assigned = {name for names in _ASSIGNED.findall(stage.shell) for name in names}
    known = {*assigned, *stage.env, *environ, *_OF_SHELLS}
    yield from (f"${name}" for name in variables(stage) if name not in known and not name.startswith(ours))
