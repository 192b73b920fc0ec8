"""`nox -s tests`, `lint`, `docs`, `matrix`, `lowest`, `hooks`, `bench`, `fuzz` …: each makes its own environment."""

import glob

import nox

nox.options.sessions = ["tests", "lint"]
nox.options.reuse_existing_virtualenvs = True
nox.options.default_venv_backend = "venv"

# Files of CI by the public schema that they keep.
JOBS = {
    "github-actions": ["action.yml"],
    "github-workflows": [*glob.glob(".github/workflows/*.yml"), *glob.glob("templates/*-github.yml")],
    "gitlab-ci": glob.glob("templates/*-gitlab.yml"),
}
PROJECT = nox.project.load_toml("pyproject.toml")


def _install(session: nox.Session, *groups: str) -> None:
    needed = [line for group in groups for line in nox.project.dependency_groups(PROJECT, group)]
    session.install("-e", ".", *needed)


@nox.session
def tests(session: nox.Session) -> None:
    """The whole test suite; arguments go to pytest: `nox -s tests -- -m "not slow"`."""
    _install(session, "test", "browser", "buckets", "reports")
    session.run("pytest", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff, mypy, and what CI runs, as the pre-commit hooks run them."""
    _install(session, "lint", "test")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("zizmor", "--offline", "--no-progress", "action.yml", ".github", *JOBS["github-workflows"])
    for schema, files in JOBS.items():
        session.run("check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation site, into `site/`; any warning is an error. `nox -s docs -- serve` shows it on localhost."""
    _install(session, "docs")
    session.run("zensical", *(session.posargs or ["build", "--clean", "--strict"]))
    if not session.posargs:
        # Our own history as a page. What is pinned comes from the remote, where it has it; without it the lock speaks.
        session.run("orchgate", "evidence", "fetch", success_codes=[0, 1, 3])  # an error of our own is one here, too
        # 3: something could not be read or judged in this clone, which the page says.
        session.run("orchgate", "report", "--force", "-o", "site/history/report.html", success_codes=[0, 3])


@nox.session(python=["3.11", "3.12", "3.13", "3.14"])
def matrix(session: nox.Session) -> None:
    """The tests on every supported Python that is installed: `nox -s matrix`, or one: `nox -s matrix-3.13`."""
    _install(session, "test")
    session.run("pytest", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session(venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """The tests with the oldest versions that `pyproject.toml` allows."""
    session.install("--resolution", "lowest-direct", "-e", ".", "--group", "test")
    session.run("pytest", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session(venv_backend="uv")
def newest(session: nox.Session) -> None:
    """The tests with the newest releases of everything, whatever was installed before."""
    session.install("--upgrade", "-e", ".", "--group", "test")
    session.run("pytest", "-n", "auto", "--dist", "worksteal", *session.posargs)


@nox.session(venv_backend="none")
def hooks(session: nox.Session) -> None:
    """Writes the dependencies of our own hooks into `.pre-commit-config.yaml`, from `pyproject.toml`."""
    session.run("python", "-m", "tests.hook_dependencies", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """What everything costs here: `nox -s bench -- limits`, `-- staged`, `-- --list`; without words, all of it."""
    peers = {"peers", "limits", "aggregate"}  # which take turns with other programs
    groups = ["docs", "peers"] if not session.posargs or peers & {*session.posargs} else []
    session.install(".", *(line for group in groups for line in nox.project.dependency_groups(PROJECT, group)))
    session.run("python", "bench/run.py", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """Hostile input, 10 minutes a target: `nox -s fuzz -- --seconds 60 documents`."""
    _install(session, "test", "fuzz")
    session.run("python", "-m", "fuzz.run", *session.posargs)


@nox.session
def kills(session: nox.Session) -> None:
    """Every verb that writes, killed and starved a thousand times: `nox -s kills -- --kills 100 --only new,init`."""
    _install(session, "test")
    session.run("python", "-m", "fuzz.kills", *session.posargs)
