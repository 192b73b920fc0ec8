"""What the kernel tells of watched folders, against programs whose doings are known."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orchgate.observe import activity, watch
from orchgate.observe.activity import Activity, FileActivity, totals
from orchgate.observe.activity import counted as counters_of

if TYPE_CHECKING:
    from collections.abc import Mapping

QUEUE = Path("/proc/sys/fs/inotify/max_queued_events")

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="file events are counted on Linux only")


@pytest.fixture
def top(tmp_path: Path) -> Path:
    """A watched folder that is there."""
    made = tmp_path / "watched"
    made.mkdir()
    return made


def seen(folder: Path, script: str, *, exclude: tuple[str, ...] = (), privileged: bool = True) -> Activity:
    """What happened below a folder while a Python program worked in the folder above it."""
    with watch.watch([str(folder)], exclude, privileged=privileged) as begun:
        subprocess.run([sys.executable, "-c", f"import os\n{script}"], cwd=folder.parent, check=True)
        return begun.finish()


def of(activity: Activity, path: Path) -> FileActivity:
    return activity.files.get(str(path), FileActivity())


# Single files


def test_a_file_that_is_written_counts_as_created_and_written(top: Path) -> None:
    activity = seen(top, "open('watched/a', 'w').write('x')")

    assert activity.files == {str(top / "a"): FileActivity(created=1, written=1)}


@pytest.mark.slow
def test_writing_it_again_and_again_counts_each_time(top: Path) -> None:
    """The kernel merges equal neighbours in its queue: closes alone would be counted once."""
    activity = seen(top, "for n in range(500): open('watched/a', 'w').write('x')")

    assert of(activity, top / "a") == FileActivity(created=1, written=500)


@pytest.mark.slow
def test_reading_it_again_and_again_counts_each_time(top: Path) -> None:
    (top / "a").write_text("x")

    assert of(seen(top, "for n in range(500): open('watched/a').read()"), top / "a") == FileActivity(read=500)


@pytest.mark.slow
def test_a_rename_over_a_file_counts_for_the_name_it_got(top: Path) -> None:
    script = "for n in range(50):\n open('watched/t', 'w').write('x'); os.rename('watched/t', 'watched/a')"

    assert of(seen(top, script), top / "a") == FileActivity(renamed=50)


def test_a_removal_is_counted(top: Path) -> None:
    (top / "a").write_text("x")

    assert of(seen(top, "os.remove('watched/a')"), top / "a") == FileActivity(removed=1)


@pytest.mark.slow
def test_listing_folders_is_no_reading(top: Path) -> None:
    (top / "sub").mkdir()

    assert seen(top, "os.listdir('watched'); os.listdir('watched/sub')").files == {}


@pytest.mark.slow
def test_names_that_are_no_utf_8_survive(top: Path) -> None:
    activity = seen(top, r"open(b'watched/\xff\n', 'w').write('x')")

    assert [os.fsencode(path) for path in activity.files] == [os.fsencode(top) + b"/\xff\n"]


def test_what_lies_elsewhere_is_not_counted(top: Path) -> None:
    assert seen(top, "open('elsewhere', 'w').write('x')").files == {}


@pytest.mark.slow
def test_excluded_folders_are_not_looked_into(top: Path) -> None:
    (top / "own").mkdir()
    activity = seen(top, "open('watched/own/a', 'w'); open('watched/b', 'w')", exclude=(str(top / "own"),))

    assert list(activity.files) == [str(top / "b")]


# Folders that come and go


def test_files_in_a_new_folder_are_counted(top: Path) -> None:
    activity = seen(top, "os.makedirs('watched/1/2/3'); open('watched/1/2/3/a', 'w').write('x')")

    assert activity.files == {str(top / "1/2/3/a"): FileActivity(created=1, written=1)}


@pytest.mark.slow
def test_no_file_is_lost_in_a_burst_of_nested_folders(top: Path) -> None:
    script = "for n in range(1000):\n p = f'watched/{n % 7}/{n}/deep'; os.makedirs(p); open(p + '/a', 'w').write('x')"

    assert totals(seen(top, script))["files_created"] == 1000


@pytest.mark.slow
def test_no_file_of_10_000_is_lost(top: Path) -> None:
    for number in range(100):
        (top / str(number)).mkdir()
    activity = seen(top, "for n in range(10_000): open(f'watched/{n % 100}/{n}', 'w').write('x')")

    assert (Counter(activity.files.values()), activity.lost) == ({FileActivity(created=1, written=1): 10_000}, False)


@pytest.mark.slow
def test_no_file_of_10_000_in_new_folders_is_lost(top: Path) -> None:
    script = "for d in range(100):\n os.mkdir(f'watched/{d}')\n"
    script += " for n in range(100): open(f'watched/{d}/{n}', 'w').write('x')"
    activity = seen(top, script)

    assert (Counter(activity.files.values()), activity.lost) == ({FileActivity(created=1, written=1): 10_000}, False)


def test_a_folder_that_appears_later_is_watched(tmp_path: Path) -> None:
    activity = seen(tmp_path / "later", "os.mkdir('later'); open('later/a', 'w').write('x')")

    assert of(activity, tmp_path / "later" / "a") == FileActivity(created=1, written=1)


def test_so_is_one_whose_parents_are_not_there_either(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b" / "c"
    with watch.watch([str(folder)]) as begun:
        folder.mkdir(parents=True)
        (folder / "x").write_text("x")

        assert of(begun.finish(), folder / "x") == FileActivity(created=1, written=1)


@pytest.mark.slow
def test_a_watched_folder_may_be_removed_and_made_again(top: Path) -> None:
    script = "import shutil\nfor n in range(3): shutil.rmtree('watched'); os.mkdir('watched')\nopen('watched/a', 'w')"

    assert of(seen(top, script), top / "a") == FileActivity(created=1, written=1)


def test_a_folder_may_take_the_folders_above_it_along(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    with watch.watch([str(folder)]) as begun:
        shutil.rmtree(tmp_path / "a")
        begun.take()
        folder.mkdir(parents=True)
        (folder / "x").write_text("x")

        assert of(begun.finish(), folder / "x") == FileActivity(created=1, written=1)


def test_a_folder_that_is_renamed_keeps_being_watched_under_its_new_name(top: Path) -> None:
    (top / "old" / "sub").mkdir(parents=True)
    activity = seen(top, "os.rename('watched/old', 'watched/new'); open('watched/new/sub/a', 'w').write('x')")

    assert activity.files == {str(top / "new/sub/a"): FileActivity(created=1, written=1)}


def test_a_folder_that_is_moved_away_is_not_watched_any_more(top: Path) -> None:
    (top / "old").mkdir()
    with watch.watch([str(top)]) as begun:
        (top / "old").rename(top.parent / "away")
        begun.take()
        (top.parent / "away" / "a").write_text("x")

        assert begun.finish().files == {}


def test_files_in_a_folder_that_is_moved_in_count_as_renamed(top: Path) -> None:
    activity = seen(
        top, "os.mkdir('draft'); open('draft/manifest.json', 'w').write('x'); os.rename('draft', 'watched/run')"
    )

    assert totals(activity)["manifest_writes"] == 1


@pytest.mark.slow
def test_links_to_folders_are_not_followed(top: Path) -> None:
    (top.parent / "away").mkdir()
    (top / "link").symlink_to(top.parent / "away")

    assert seen(top, "open('away/a', 'w').write('x')").files == {}


def test_a_folder_inside_another_watched_one_counts_once(top: Path) -> None:
    (top / "sub").mkdir()
    with watch.watch([str(top), str(top / "sub"), str(top)]) as begun:
        (top / "sub" / "a").write_text("x")

        assert of(begun.finish(), top / "sub" / "a") == FileActivity(created=1, written=1)


# Folders that are younger than their watch


# What a program does below `watched`, and how often it wrote there.
RACES = {
    "rebuilt": (
        """
import shutil
for i in range(3):
    shutil.rmtree("watched/a", True)
    os.makedirs("watched/a")
    for n in range(10): open(f"watched/a/{n}", "w").write("x")
""",
        30,
    ),
    "short-lived": (
        """
import shutil
for i in range(300):
    os.mkdir(f"watched/{i}")
    open(f"watched/{i}/a", "w").write("x")
    shutil.rmtree(f"watched/{i}")
""",
        300,
    ),
    "emptied": (
        """
for i in range(30):
    os.mkdir(f"watched/{i}")
    open(f"watched/{i}/a", "w").close()
    os.remove(f"watched/{i}/a")
""",
        30,
    ),
    "renamed": (
        """
for i in range(30):
    os.makedirs(f"watched/t{i}/b")
    open(f"watched/t{i}/b/a", "w").close()
    os.rename(f"watched/t{i}", f"watched/r{i}")
""",
        30,
    ),
    "rewritten": (
        """
for i in range(5):
    os.makedirs(f"watched/{i}/b")
    for n in range(60): open(f"watched/{i}/b/a", "w").close()
""",
        300,
    ),
    "atomic": (
        """
for i in range(20):
    os.makedirs(f"watched/{i}/run")
    for n in range(5):
        open(f"watched/{i}/run/new", "w").close()
        os.rename(f"watched/{i}/run/new", f"watched/{i}/run/manifest.json")
""",
        100,
    ),
    "linked": (
        """
for i in range(30):
    os.mkdir(f"watched/{i}")
    os.symlink("nowhere", f"watched/{i}/link")
""",
        0,
    ),
    "known": ('for n in range(500): open("watched/a", "w").close()', 500),
}


@pytest.mark.slow
@pytest.mark.parametrize("privileged", [True, False], ids=["fanotify", "inotify"])
@pytest.mark.parametrize("race", RACES)
def test_a_count_is_right_or_a_lower_bound_that_says_so(top: Path, race: str, *, privileged: bool) -> None:
    script, writes = RACES[race]
    activity = seen(top, script, privileged=privileged)
    counted = totals(activity)["file_writes"]

    assert counted == writes or (counted < writes and "file_writes" in activity.bounds and activity.unsure)


@pytest.fixture(scope="module")
def witnessed(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Skips where only the superuser is told by fanotify, and this is not one."""
    with watch.watch([str(tmp_path_factory.mktemp("asked"))]) as begun:
        if begun.finish().watched_by != "fanotify":
            pytest.skip("fanotify tells this user nothing")


@pytest.mark.slow
@pytest.mark.usefixtures("witnessed")
@pytest.mark.parametrize("race", ["rebuilt", "short-lived", "emptied", "renamed", "atomic", "linked"])
def test_the_superuser_misses_nothing_that_happened_once(top: Path, race: str) -> None:
    script, writes = RACES[race]

    assert totals(seen(top, script))["file_writes"] == writes


@pytest.mark.slow
@pytest.mark.usefixtures("witnessed")
def test_renames_over_a_manifest_are_exact_in_folders_of_any_age(top: Path) -> None:
    activity = seen(top, RACES["atomic"][0])

    assert (totals(activity)["manifest_writes"], "manifest_writes" in activity.bounds) == (100, False)


@pytest.mark.slow
@pytest.mark.usefixtures("witnessed")
@pytest.mark.parametrize("race", ["rebuilt", "short-lived", "emptied", "renamed", "atomic"])
def test_what_the_superuser_cannot_know_is_whether_a_file_was_written_again_or_read(top: Path, race: str) -> None:
    activity = seen(top, RACES[race][0])

    assert activity.bounds.keys() <= {"file_writes", "file_reads"}


@pytest.mark.slow
@pytest.mark.usefixtures("witnessed")
def test_where_nothing_was_written_only_reads_are_unknown(top: Path) -> None:
    activity = seen(top, RACES["linked"][0])

    assert (activity.bounds.keys() <= {"file_reads"}, set(activity.unsure.values())) == (
        True,
        {"used before it could be watched: what was read in that moment is unknown"} if activity.bounds else set(),
    )


@pytest.mark.slow
@pytest.mark.usefixtures("witnessed")
def test_folders_that_were_watched_in_time_are_no_lower_bound(top: Path) -> None:
    with watch.watch([str(top)]) as begun:
        (top / "a" / "b" / "c").mkdir(parents=True)
        before = begun.take()
        for _ in range(50):
            (top / "a" / "b" / "c" / "x").write_text("x")
        after = begun.finish()

    assert (before.lower_bound, after.lower_bound, totals(after)["file_writes"]) == (False, False, 50)


@pytest.mark.slow
def test_folders_that_were_there_before_are_no_lower_bound(top: Path) -> None:
    (top / "a").mkdir()

    assert not seen(top, "for n in range(50): open(f'watched/a/{n}', 'w')", privileged=False).lower_bound


def test_without_fanotify_a_new_folder_is_named_with_the_reason(top: Path) -> None:
    activity = seen(top, "os.makedirs('watched/a/b')", privileged=False)

    assert activity.unsure == {
        str(top / "a"): "made during the run: what happened in it before it could be watched is not known"
    }


@pytest.mark.parametrize("privileged", [True, False], ids=["fanotify", "inotify"])
def test_a_folder_that_is_moved_in_is_a_lower_bound(top: Path, *, privileged: bool) -> None:
    script = "os.mkdir('draft'); open('draft/a', 'w'); os.rename('draft', 'watched/run')"

    assert list(seen(top, script, privileged=privileged).unsure) == [str(top / "run")]


@pytest.mark.slow
def test_a_file_that_is_open_for_writing_twice_at_once_is_a_lower_bound(top: Path) -> None:
    """Something else comes between the two: the second opening is no mere repetition of the first."""
    activity = seen(top, "one = open('watched/a', 'w'); open('watched/b', 'w').close(); two = open('watched/a', 'w')")

    assert (activity.bounds, activity.unsure) == (
        {"file_writes": "files open several times at once"},
        {str(top / "a"): "open several times at once: closes in the same moment count once"},
    )


@pytest.mark.slow
@pytest.mark.parametrize(
    "script",
    [
        "for n in range(9): one = open('watched/a', 'w'); one.close(); two = open('watched/a'); two.close()",
        "for n in range(9):\n with open('watched/t', 'w'): os.rename('watched/t', 'watched/a')",
        "for n in range(9):\n with open('watched/t', 'w'): os.remove('watched/t')",
        "one = open('watched/a', 'w'); two = os.dup(one.fileno()); open('watched/b', 'w').close()",
    ],
    ids=["one after the other", "renamed while open", "removed while open", "one opening, two names for it"],
)
def test_one_opening_after_the_other_is_none(top: Path, script: str) -> None:
    assert not seen(top, script).lower_bound


@pytest.mark.slow
def test_what_is_read_twice_at_once_is_a_lower_bound_of_reads_only(top: Path) -> None:
    for name in "ab":
        (top / name).touch()
    activity = seen(top, "one = open('watched/a'); open('watched/b').close(); two = open('watched/a')")

    assert list(activity.bounds) == ["file_reads"]


def test_what_was_counted_says_which_of_it_are_lower_bounds(top: Path) -> None:
    activity = seen(top, "os.mkdir('watched/a')", privileged=False)

    assert counters_of(activity).keys() == activity.bounds.keys()


def test_a_new_measurement_has_no_lower_bounds_of_the_last(top: Path) -> None:
    with watch.watch([str(top)], privileged=False) as begun:
        (top / "a").mkdir()
        begun.take()

        assert not begun.finish().lower_bound


# Other programs, other places


@pytest.mark.slow
@pytest.mark.usefixtures("witnessed")
def test_files_of_other_programs_are_told_apart(top: Path) -> None:
    script = "import sys\nfor name in sys.argv[1:]: open('watched/' + name, 'w').write('x')"
    with watch.watch([str(top)]) as begun:
        one = subprocess.Popen([sys.executable, "-c", script, "own", "both"], cwd=top.parent)
        one.wait()
        subprocess.run([sys.executable, "-c", script, "other", "both"], cwd=top.parent, check=True)
        activity = begun.finish(lambda pid: pid == one.pid)

    assert (sorted(activity.files), list(activity.others), activity.shared) == (
        [str(top / "both"), str(top / "own")],
        [str(top / "other")],
        (str(top / "both"),),
    )


def test_a_link_to_a_folder_is_named_with_where_it_leads(top: Path) -> None:
    (top.parent / "away").mkdir()
    (top / "link").symlink_to(top.parent / "away")

    assert seen(top, "pass").links == {str(top / "link"): str(top.parent / "away")}


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [
        "os.symlink('../away', 'watched/link')",
        "os.symlink('../away', 'watched/new'); os.rename('watched/new', 'watched/link')",
        "os.symlink('../x', 'watched/link'); os.remove('watched/link'); os.symlink('../away', 'watched/link')",
    ],
    ids=["made", "renamed", "made again"],
)
def test_so_is_one_that_is_made_during_the_run(top: Path, made: str) -> None:
    activity = seen(top, f"os.mkdir('away'); {made}; open('watched/link/a', 'w')")

    assert activity.links == {str(top / "link"): str(top.parent / "away")}


def test_a_link_to_a_watched_folder_needs_no_warning(top: Path) -> None:
    (top / "first").symlink_to("runs")

    assert seen(top, "os.makedirs('watched/runs/1'); os.symlink('runs/1', 'watched/latest')").links == {}


def test_a_folder_that_never_appears_is_named(tmp_path: Path) -> None:
    with watch.watch([str(tmp_path / "never"), str(tmp_path / "later"), str(tmp_path / "gone")]) as begun:
        (tmp_path / "later").mkdir()
        (tmp_path / "gone").mkdir()
        begun.take()
        (tmp_path / "gone").rmdir()

        assert begun.finish().absent == (str(tmp_path / "never"),)


MOUNTED = """
import subprocess, sys
from orchgate.observe import watch
from orchgate.observe.activity import totals
for argv in (["-t", "tmpfs", "none", "w/memory"], ["--bind", "elsewhere", "w/bound"]):
    subprocess.run(["mount", *argv], check=True)
with watch.watch(["w"]) as begun:
    for name in ("w/memory/a", "w/bound/a", "elsewhere/b", "w/a"):
        open(name, "w").write("x")
    print(totals(begun.finish())["file_writes"])
"""


@pytest.mark.slow
def test_other_file_systems_and_bound_folders_below_count_as_well(tmp_path: Path) -> None:
    for name in ("w/memory", "w/bound", "elsewhere"):
        (tmp_path / name).mkdir(parents=True)
    if os.geteuid() or subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount")
    argv = ["unshare", "--mount", sys.executable, "-c", MOUNTED]
    done = subprocess.run(argv, cwd=tmp_path, capture_output=True, text=True, check=True)

    assert done.stdout == "4\n"


# A program that makes, writes, reads, renames and removes files and folders at random, and says how often.
RANDOM = """
import json, os, random, shutil, sys
choose = random.Random(int(sys.argv[1]))
done = dict.fromkeys(("files_created", "file_writes", "file_renames", "files_removed", "file_reads"), 0)
for step in range(150):
    folders = [folder for folder, _, _ in os.walk("watched")]
    files = [os.path.join(folder, name) for folder, _, names in os.walk("watched") for name in names]
    folder, deed = choose.choice(folders), choose.random()
    path = os.path.join(folder, choose.choice("xyz"))
    if deed < 0.25:
        os.makedirs(os.path.join(folder, choose.choice("abc"), choose.choice("de")), exist_ok=True)
    elif deed < 0.55:
        for _ in range(choose.choice((1, 1, 2, 5))):
            done["files_created"] += not os.path.exists(path)
            open(path, "w").close()
            done["file_writes"] += 1
    elif deed < 0.65 and files:
        open(choose.choice(files)).close()
        done["file_reads"] += 1
    elif deed < 0.75 and files and (old := choose.choice(files)) != path:
        os.rename(old, path)
        done["file_renames"] += 1
    elif deed < 0.85 and files:
        os.remove(choose.choice(files))
        done["files_removed"] += 1
    elif deed < 0.92 and folder != "watched":
        done["files_removed"] += sum(len(names) for _, _, names in os.walk(folder))
        shutil.rmtree(folder)
    elif folder != "watched":
        new = os.path.join(choose.choice(folders), f"r{step}")
        if not new.startswith(folder + "/"):
            os.rename(folder, new)
print(json.dumps(done))
"""


@pytest.mark.slow
@pytest.mark.parametrize("privileged", [True, False], ids=["fanotify", "inotify"])
@pytest.mark.parametrize("seed", range(3))
def test_random_doings_in_new_folders_are_right_or_lower_bounds(top: Path, seed: int, *, privileged: bool) -> None:
    with watch.watch([str(top)], privileged=privileged) as begun:
        argv = [sys.executable, "-S", "-E", "-c", RANDOM, str(seed)]
        done = json.loads(subprocess.run(argv, cwd=top.parent, capture_output=True, check=True).stdout)
        activity = begun.finish()
    counted = totals(activity)

    assert not [
        (name, counted[name], number)
        for name, number in done.items()
        if counted[name] != number and not (name in activity.bounds and counted[name] < number)
    ]


@pytest.mark.parametrize("privileged", [True, False], ids=["fanotify", "inotify"])
def test_folders_in_one_that_was_moved_in_are_known_from_then_on(top: Path, *, privileged: bool) -> None:
    (top.parent / "draft" / "deep").mkdir(parents=True)
    with watch.watch([str(top)], privileged=privileged) as begun:
        (top.parent / "draft").rename(top / "run")
        begun.take()
        (top / "run" / "deep" / "a").write_text("x")
        activity = begun.finish()

    assert (activity.files, activity.lower_bound) == ({str(top / "run/deep/a"): FileActivity(1, 1)}, False)


# Several measurements, several hands


def test_each_take_tells_what_happened_since_the_last(top: Path) -> None:
    with watch.watch([str(top)]) as begun:
        (top / "a").write_text("x")
        begun.take()
        (top / "b").write_text("x")

        assert list(begun.take().files) == [str(top / "b")]


def test_a_finished_watch_can_be_closed_again(top: Path) -> None:
    begun = watch.watch([str(top)])
    begun.finish()
    begun.close()

    assert begun.finish().lost


@pytest.mark.slow
def test_a_process_that_never_stops_writing_holds_nobody_up(top: Path) -> None:
    endless = "while True: open('a', 'w').write('x')"
    with watch.watch([str(top)]) as begun, subprocess.Popen([sys.executable, "-c", endless], cwd=top) as writer:
        while not (top / "a").exists():
            pass
        activity = begun.finish()
        writer.kill()

    assert activity.files


@pytest.mark.slow
def test_no_thread_and_no_descriptor_is_left(top: Path) -> None:
    before = (threading.active_count(), len(os.listdir("/proc/self/fd")))
    for _ in range(20):
        watch.watch([str(top)]).finish()

    assert (threading.active_count(), len(os.listdir("/proc/self/fd"))) == before


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_random_doings_in_known_folders_are_counted_exactly(top: Path, seed: int) -> None:
    choose = random.Random(seed)
    for name in "xyz":
        (top / name).mkdir()
    wanted: dict[str, list[int]] = {}
    with watch.watch([str(top)]) as begun:
        for _ in range(2000):
            _act(choose, top, wanted)
        activity = begun.finish()

    assert {path: list(one) for path, one in activity.files.items()} == wanted


def _act(choose: random.Random, top: Path, wanted: dict[str, list[int]]) -> None:
    one, other = (top / choose.choice("xyz") / choose.choice("abc") for _ in range(2))
    row, there = wanted.setdefault(str(one), [0] * 5), one.exists()
    deed = choose.choice(("write", "write", "read", "remove", "rename"))
    if deed == "write":
        one.write_text("x")
        row[activity.CREATED] += not there
        row[activity.WRITTEN] += 1
    elif deed == "read" and there:
        one.read_text()
        row[activity.READ] += 1
    elif deed == "remove" and there:
        one.unlink()
        row[activity.REMOVED] += 1
    elif deed == "rename" and there and one != other:
        one.rename(other)
        wanted.setdefault(str(other), [0] * 5)[activity.RENAMED] += 1
    for path in [path for path, counts in wanted.items() if not any(counts)]:
        del wanted[path]


# What cannot be counted


@pytest.mark.slow
def test_an_overflow_of_the_queue_is_said(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch.Watch, "_look", lambda *_: None)  # nobody empties the queue
    limit = int(QUEUE.read_text())
    if limit > 100_000:
        pytest.skip("the kernel's queue is too long to be filled here")
    activity = seen(top, f"for n in range({limit}): open('watched/a', 'w')")

    assert (activity.lost, activity.notes) == (
        True,
        (f"counts are lower bounds: the kernel's queue of {limit} events overflowed (max_queued_events)",),
    )


def test_what_was_lost_is_no_counter() -> None:
    assert counters_of(Activity({"/a/manifest.json": FileActivity(written=3)}, lost=True, notes=())) == {}


@pytest.mark.slow
def test_after_an_overflow_the_next_measurement_is_whole_again(top: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watch.Watch, "_look", lambda *_: None)
    limit = int(QUEUE.read_text())
    if limit > 100_000:
        pytest.skip("the kernel's queue is too long to be filled here")
    with watch.watch([str(top)]) as begun:
        fill = f"for n in range({limit}): open('a', 'w')\nimport os; os.mkdir('unseen')"
        subprocess.run([sys.executable, "-c", fill], cwd=top, check=True)
        begun.take()
        (top / "unseen" / "b").write_text("x")

        activity = begun.finish()

    assert (activity.files, activity.lost, activity.notes) == (
        {str(top / "unseen" / "b"): FileActivity(1, 1)},
        False,
        (),
    )


LIMITED = """
import sys
from orchgate.observe import watch
{prepare}
activity = watch.watch([sys.argv[1]]).finish()
print(activity.lost, activity.notes[0])
"""


def limited(top: Path, prepare: str) -> str:
    argv = [sys.executable, "-c", LIMITED.format(prepare=prepare), str(top)]
    return subprocess.run(argv, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_too_many_queues_are_said(top: Path) -> None:
    prepare = "import resource; import inotify_simple; queues = [inotify_simple.INotify()]\n"
    prepare += "resource.setrlimit(resource.RLIMIT_NOFILE, (queues[0].fileno() + 1, 4096))"

    assert limited(top, prepare).startswith("True file events not counted: ")


@pytest.mark.slow
def test_a_machine_without_file_events_is_said(top: Path) -> None:
    said = limited(top, "sys.modules['inotify_simple'] = None")

    assert said.startswith("True file events not counted: this system reports none")


@pytest.mark.slow
def test_watches_that_the_kernel_refuses_are_said(top: Path) -> None:
    prepare = """
import errno, inotify_simple
def refuse(*_): raise OSError(errno.ENOSPC, "No space left on device")
inotify_simple.INotify.add_watch = refuse
"""

    assert "this user's limit of " in limited(top, prepare)


def test_a_folder_nobody_may_read_is_said(top: Path) -> None:
    (top / "closed").mkdir(mode=0)
    if os.access(top / "closed", os.R_OK):
        pytest.skip("this user may read everything")
    with watch.watch([str(top)]) as begun:
        notes = begun.finish().notes
    (top / "closed").chmod(0o700)

    assert notes == ("counts are lower bounds: 1 folder could not be watched: Permission denied",)


# The counts alone


def counted(*events: tuple[int, bytes], standing: bytes = b"") -> Mapping[bytes, list[int]]:
    one = activity.EventCounts()
    if standing:
        one.stands(standing)
    for mask, path in events:
        one.event(path, mask)
    one.settle()
    return one.counts


@pytest.mark.parametrize(
    ("events", "row"),
    [
        pytest.param([], [1, 1, 0, 0, 0], id="made before the watch"),
        pytest.param([activity.CREATE, activity.OPEN, activity.CLOSE_WRITE], [1, 1, 0, 0, 0], id="made after it"),
        pytest.param([activity.CLOSE_WRITE], [1, 1, 0, 0, 0], id="open when it came"),
        pytest.param([activity.MOVED_TO], [0, 0, 1, 0, 0], id="moved there after it"),
        pytest.param([activity.OPEN, activity.CLOSE_WRITE], [1, 2, 0, 0, 0], id="made before and written after"),
        pytest.param([activity.OPEN, activity.CLOSE_NOWRITE], [1, 1, 0, 0, 1], id="made before and read after"),
        pytest.param([activity.DELETE], [1, 1, 0, 1, 0], id="made before and removed after"),
    ],
)
def test_a_file_found_in_a_new_folder_is_counted_once(events: list[int], row: list[int]) -> None:
    assert counted(*((mask, b"a") for mask in events), standing=b"a") == {b"a": row}


def test_the_close_of_a_file_that_was_only_made_before_its_watch_is_a_write() -> None:
    counts = activity.EventCounts()
    counts.known = {b"/a": activity.CREATE}
    counts.stands(b"/a")
    for event in (activity.CLOSE_WRITE, activity.OPEN, activity.CLOSE_WRITE):
        counts.event(b"/a", event)

    assert counts.counts == {b"/a": [1, 2, 0, 0, 0]}


def test_more_files_than_can_be_told_apart_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activity, "MOST_FILES", 2)
    one = activity.EventCounts()
    for name in (b"a", b"b", b"c"):
        one.event(name, activity.CREATE)

    assert one.overfull
