"""What a push of evidence sends: the pins of this lock that the remote lacks, and nothing else that is here."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

import pytest

from orchgate.evidence.lock import PATH, Pinned, render
from orchgate.git.store.contents import REF
from tests.repo import Repo, clone, init

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

pytestmark = pytest.mark.slow

RUN = ".runs/0001-demo/cli/2026-01-06T09-26-22-129Z-c2f9cb47"


class Place:
    """A work tree and bare remotes, made when first named."""

    def __init__(self, repo: Repo, folder: Path) -> None:
        self.repo, self._folder = repo, folder

    def remote(self, name: str) -> Repo:
        root = self._folder / f"{name}.git"
        if not root.exists():
            init(root, "--bare")
            self.repo.git("remote", "add", name, str(root))
        return Repo(root)

    def pin(self, *words: str, repo: Repo | None = None) -> None:
        """A lock that pins one artifact for each word, and no others."""
        pins = []
        for word in words:
            path, content = artifact(word), f"{word}\n".encode()
            (repo or self.repo).write(path, content)
            pins.append(Pinned(path, name(word), len(content)))
        (repo or self.repo).write(PATH, render(pins))

    def push(self, remote: str, *words: str) -> str:
        """Pins words and pushes them; what is said."""
        self.remote(remote)
        self.pin(*words)
        pushed = self.repo.orchgate("evidence", "push", remote)
        assert pushed.code == 0, pushed.out
        return pushed.out


@pytest.fixture
def place(new_repo: Callable[[str], Repo], tmp_path: Path) -> Place:
    repo = new_repo("work")
    repo.commit("start", {".gitignore": ".runs/\n"})
    return Place(repo, tmp_path)


def artifact(word: str) -> str:
    return f"{RUN}/stages/{word}.log"


def name(word: str) -> str:
    return hashlib.sha256(f"{word}\n".encode()).hexdigest()


def arrived(remote: Repo) -> set[str]:
    """Contents of every blob that has reached a remote, reachable or not."""
    listed = remote.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)").splitlines()
    return {remote.git("cat-file", "blob", line.split()[0]) for line in listed if line.endswith(" blob")}


def stored(remote: Repo) -> set[str]:
    return {path.replace("/", "", 1) for path in remote.git("ls-tree", "-r", "--name-only", REF).splitlines()}


def test_what_another_remote_gave_does_not_reach_this_one(place: Place) -> None:
    place.push("private", "secret", "shared")
    place.push("public", "shared")
    assert arrived(place.remote("public")) == {"shared"}


def test_no_commit_of_another_remote_is_a_parent_of_what_is_sent(place: Place) -> None:
    place.push("private", "secret")
    place.push("public", "shared")
    assert place.remote("public").git("rev-list", "--count", REF) == "1"


def test_of_three_remotes_each_has_what_was_pinned_when_it_was_pushed_to(place: Place) -> None:
    for remote, words in {"a": ("one", "two"), "b": ("two", "three"), "c": ("three",)}.items():
        place.push(remote, *words)
    assert [arrived(place.remote(remote)) for remote in "abc"] == [{"one", "two"}, {"two", "three"}, {"three"}]


def test_going_back_and_forth_between_two_remotes_mixes_nothing(place: Place) -> None:
    for remote, word in (("a", "a1"), ("b", "b1"), ("a", "a2"), ("b", "b2"), ("a", "a3")):
        place.push(remote, word)
    assert (arrived(place.remote("a")), arrived(place.remote("b"))) == ({"a1", "a2", "a3"}, {"b1", "b2"})


def test_what_was_fetched_from_one_remote_is_not_pushed_to_another(place: Place, tmp_path: Path) -> None:
    place.push("upstream", "theirs", "pinned")
    fork = clone(place.remote("upstream"), tmp_path / "fork")
    fork.write(PATH, render([Pinned(artifact("pinned"), name("pinned"), 7)]))
    fork.git("remote", "add", "mine", str(init(tmp_path / "mine.git", "--bare").root))
    fork.orchgate("evidence", "fetch")

    pushed = fork.orchgate("evidence", "push", "mine")

    assert (pushed.code, arrived(Repo(tmp_path / "mine.git"))) == (0, {"pinned"}), pushed.out


def test_what_is_pinned_and_only_in_the_store_is_sent(place: Place) -> None:
    place.push("a", "one")
    (place.repo.root / artifact("one")).unlink()
    place.remote("b")

    pushed = place.repo.orchgate("evidence", "push", "b")

    assert (pushed.code, arrived(place.remote("b"))) == (0, {"one"}), pushed.out


def test_a_lock_that_pins_less_sends_less(place: Place) -> None:
    place.push("a", "one", "two", "three")
    place.push("b", "two")
    assert stored(place.remote("b")) == {name("two")}


def test_a_lock_that_pins_less_takes_nothing_away(place: Place) -> None:
    place.push("a", "one", "two")
    place.push("a", "two")
    assert stored(place.remote("a")) == {name("one"), name("two")}


def test_a_store_that_an_older_version_joined_sends_no_old_commit(place: Place) -> None:
    place.push("private", "secret")
    place.push("public", "old")
    ours = place.repo.git("rev-parse", REF)
    # As it was before: one commit whose parents are what either remote had, sent to both.
    merged = place.repo.git("commit-tree", "-m", "x", "-p", ours, f"{ours}^{{tree}}")
    place.repo.git("update-ref", REF, merged)
    place.push("third", "new")
    assert (arrived(place.remote("third")), place.remote("third").git("rev-list", "--count", REF)) == ({"new"}, "1")


def test_only_what_is_named_is_sent(place: Place) -> None:
    place.remote("a")
    place.pin("one", "two")
    pushed = place.repo.orchgate("evidence", "push", "a", artifact("two"))
    assert (pushed.code, arrived(place.remote("a"))) == (0, {"two"}), pushed.out


def test_a_path_alone_goes_to_the_usual_remote(place: Place) -> None:
    place.remote("origin")
    place.pin("one", "two")
    pushed = place.repo.orchgate("evidence", "push", artifact("one"))
    assert (pushed.code, arrived(place.remote("origin"))) == (0, {"one"}), pushed.out


def test_a_remote_can_be_named_by_an_option(place: Place) -> None:
    place.remote("a")
    place.pin("one", "two")
    pushed = place.repo.orchgate("evidence", "push", "--remote", "a", f"{RUN}/stages")
    assert (pushed.code, arrived(place.remote("a"))) == (0, {"one", "two"}), pushed.out


def test_a_path_that_is_not_pinned_is_wrong_usage(place: Place) -> None:
    place.remote("a")
    place.pin("one")
    assert place.repo.orchgate("evidence", "push", "a", f"{RUN}/manifest.json").code == 2


def test_a_dry_run_says_what_the_remote_lacks(place: Place) -> None:
    place.push("a", "one", "two")
    place.push("b", "one")
    place.pin("one", "two", "three")
    said = [place.repo.orchgate("evidence", "push", "--remote", remote, "--dry-run").out for remote in "ab"]
    assert [line.split(" to ")[0] for line in said] == [
        "would send 1 artifact (6 bytes)",
        "would send 2 artifacts (10 bytes)",
    ]


def test_a_dry_run_sends_and_keeps_nothing(place: Place) -> None:
    place.remote("a")
    place.pin("one")
    before = place.repo.git("count-objects", "-v")
    place.repo.orchgate("evidence", "push", "a", "--dry-run")
    assert (arrived(place.remote("a")), place.repo.git("count-objects", "-v")) == (set(), before)


def test_a_second_remote_is_told_how_much_it_got(place: Place) -> None:
    place.push("a", "one", "two")
    said = [place.push("b", "one", "two"), place.push("b", "one", "two")]
    assert [
        "2 artifacts sent (8 bytes)" in said[0],
        "0 artifacts sent (0 bytes), 2 were stored already" in said[1],
    ] == [
        True,
        True,
    ]


def test_a_content_that_two_artifacts_have_is_sent_once(place: Place) -> None:
    place.remote("a")
    place.pin("one")
    place.repo.write(artifact("two"), b"one\n")
    place.repo.write(PATH, render([Pinned(artifact(path), name("one"), 4) for path in ("one", "two")]))
    assert "1 artifact sent (4 bytes)" in place.repo.orchgate("evidence", "push", "a").out


def test_a_secret_that_the_store_holds_is_not_sent_to_the_next_remote(place: Place) -> None:
    token = "gh" + "p_" + "a1B2" * 9
    place.repo.write("orchgate.toml", "[evidence]\nsecrets-allowed = ['^github-token: ']\n")
    place.push("a", token)
    place.repo.write("orchgate.toml", "")
    (place.repo.root / artifact(token)).unlink()
    place.remote("b")

    pushed = place.repo.orchgate("evidence", "push", "b")

    assert (pushed.code, arrived(place.remote("b"))) == (1, set()), pushed.out


def test_a_push_goes_where_the_remote_pushes_to(place: Place, tmp_path: Path) -> None:
    mine = init(tmp_path / "mine.git", "--bare")
    place.push("upstream", "theirs")
    place.repo.git("remote", "set-url", "--push", "upstream", str(mine.root))
    place.push("upstream", "ours")
    place.push("upstream", "ours", "later")
    assert (arrived(mine), arrived(place.remote("upstream"))) == ({"ours", "later"}, {"theirs"})


def test_a_remote_that_pushes_to_two_places_reaches_both(place: Place, tmp_path: Path) -> None:
    places = [init(tmp_path / f"{number}.git", "--bare") for number in "12"]
    place.remote("a")
    for one in places:
        place.repo.git("remote", "set-url", "--push", "--add", "a", str(one.root))
    place.push("a", "one")
    assert [arrived(one) for one in places] == [{"one"}, {"one"}]


@pytest.mark.parametrize(
    "setting",
    [
        ("remote.a.mirror", "true"),
        ("fetch.prune", "true"),
        ("fetch.pruneTags", "true"),
        ("push.default", "nothing"),
        ("push.followTags", "true"),
        ("push.gpgSign", "true"),
        ("push.useForceIfIncludes", "true"),
        ("remote.a.push", "refs/heads/*:refs/heads/*"),
        ("core.splitIndex", "true"),
        ("fetch.writeCommitGraph", "true"),
        ("transfer.fsckObjects", "true"),
        ("core.sharedRepository", "group"),
        ("protocol.version", "0"),
    ],
)
def test_settings_do_not_change_what_travels(place: Place, tmp_path: Path, setting: tuple[str, str]) -> None:
    place.repo.git("tag", "-a", "-m", "x", "v1")
    place.push("a", "one")
    other = clone(place.remote("a"), tmp_path / "other")
    other.git("remote", "rename", "origin", "a")
    for repo in (place.repo, other):
        repo.git("config", *setting)
    place.push("a", "one", "two")
    place.pin("one", "two", repo=other)
    (other.root / artifact("two")).unlink()

    fetched = other.orchgate("evidence", "fetch", "--remote", "a")

    refs = place.remote("a").git("for-each-ref", "--format=%(refname)")
    assert (fetched.code, refs, (other.root / artifact("two")).exists()) == (0, REF, True), fetched.out


def test_a_remote_named_by_an_address_that_is_written_otherwise(place: Place, tmp_path: Path) -> None:
    place.repo.git("config", f"url.{tmp_path}/.insteadOf", "there:")
    init(tmp_path / "bare.git", "--bare")
    place.pin("one")
    pushed = place.repo.orchgate("evidence", "push", "there:bare.git")
    assert (pushed.code, arrived(Repo(tmp_path / "bare.git"))) == (0, {"one"}), pushed.out


@pytest.mark.parametrize("form", ["{}", "file://{}", "../bare %20 x.git"])
def test_a_remote_on_a_path_with_blanks(place: Place, tmp_path: Path, form: str) -> None:
    bare = init(tmp_path / "bare %20 x.git", "--bare")
    place.pin("one")
    address = form.format(str(bare.root).replace("%", "%25") if "://" in form else bare.root)
    pushed = place.repo.orchgate("evidence", "push", address)
    assert (pushed.code, arrived(bare)) == (0, {"one"}), pushed.out


def test_a_reference_of_another_name_that_ends_alike_is_not_ours(place: Place) -> None:
    remote = place.remote("a")
    oid = place.repo.git("rev-parse", "HEAD")
    place.repo.git("push", "--quiet", "a", f"{oid}:refs/a/{REF}")
    place.push("a", "one")
    assert (stored(remote), remote.git("rev-parse", f"refs/a/{REF}")) == ({name("one")}, oid)


@pytest.mark.parametrize("options", [("--depth=1",), ("--filter=blob:none", "--no-checkout"), ("--bare",)])
def test_a_clone_that_lacks_history_or_contents_carries_evidence(
    place: Place, tmp_path: Path, options: tuple[str, ...]
) -> None:
    remote = place.remote("a")
    place.repo.commit("more", {"a.txt": "1\n"})
    place.repo.git("push", "--quiet", "a", "main")
    remote.git("config", "uploadpack.allowFilter", "true")
    place.push("a", "one")
    place.repo.git("clone", "--quiet", *options, f"file://{remote.root}", str(tmp_path / "part"))
    part = Repo(tmp_path / "part")
    place.pin("one", "two", repo=part)
    (part.root / artifact("one")).unlink()

    done = [part.orchgate("evidence", verb) for verb in ("fetch", "push")]

    expected = [3, 3] if "--bare" in options else [0, 0]
    assert [one.code for one in done] == expected, done
