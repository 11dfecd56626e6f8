"""Every way in which real tools make a marker: each is recorded once and soon, and by no scan but that at the start."""

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.waiting import until
from tests.watcher.site import Site, done


@dataclass
class Shop:
    """A watch folder that is followed, and a folder beside it on the same filesystem that is not."""

    site: Site
    dumps: Path
    aside: Path

    def sh(self, script: str, *names: str | bytes) -> None:
        """A script, in the watch folder; ``$A`` is the folder aside."""
        environment = {**os.environ, "A": str(self.aside)}
        subprocess.run(["sh", "-ec", script, "sh", *names], cwd=self.dumps, env=environment, check=True)

    def recorded(self, *paths: str) -> None:
        """Waits until exactly these are recorded, each once, and none of them by a scan."""
        until(lambda: self.site.waiting() == set(paths), f"{self.site.waiting()} instead of {paths}")
        assert self.site.counted("markers", "recorded") == len(paths)
        assert dict(self.site.times().buckets)["60"] >= len(paths)  # one that was read half written was late too


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    """The next scan is an hour away."""
    site = Site(tmp_path)
    aside = tmp_path / "aside"
    aside.mkdir()
    with site.watched():
        yield Shop(site, site.dumps, aside)
    assert site.counted("missed_events") == 0


ONE = {
    "touch": "touch vm1.done",
    "redirection": ": > vm1.done",
    "echo of a body": """echo '{"format": 1}' > vm1.done""",
    "written slowly": """{ printf '{"format"'; sleep 0.7; printf ': 1}'; } > vm1.done""",
    "renamed in the same folder": "touch vm1.tmp; mv vm1.tmp vm1.done",
    "renamed from a dot name": "touch .vm1; mv .vm1 vm1.done",
    "renamed from a folder aside": 'touch "$A/x"; mv "$A/x" vm1.done',
    "a hard link": 'touch "$A/x"; ln "$A/x" vm1.done',
    "a hard link and its source removed": "touch .x; ln .x vm1.done; rm .x",
    "cp": 'touch "$A/x"; cp "$A/x" vm1.done',
    "cp -a": 'touch "$A/x"; cp -a "$A/x" vm1.done',
    "install": "install -m 600 /dev/null vm1.done",
    "rsync": 'touch "$A/vm1.done"; rsync -a "$A/vm1.done" ./',
    "rsync --inplace": 'touch "$A/vm1.done"; rsync -a --inplace "$A/vm1.done" ./',
    "tar": 'touch "$A/vm1.done"; tar -C "$A" -c vm1.done | tar -x',
    "dd": "dd if=/dev/null of=vm1.done status=none",
    "tee": "echo '{}' | tee vm1.done",
    "a lock file renamed over another marker": "touch vm1.done.new; mv -f vm1.done.new vm1.done",
}


@pytest.mark.parametrize("way", ONE)
def test_a_marker_made_by(way: str, shop: Shop) -> None:
    """Each is another sequence of events; some are never closed, some never written."""
    shop.sh(f"printf x > vm1.part; mv vm1.part vm1; {ONE[way]}")
    shop.recorded("vm1")


def test_the_marker_command_and_python(shop: Shop) -> None:
    """`tidegate mark` and a file object."""
    for name in ("vm1", "vm2"):
        (shop.dumps / name).write_bytes(b"x")
    shop.site.host.run("mark", str(shop.dumps / "vm1"))
    with (shop.dumps / "vm2.done").open("w"):
        pass
    shop.recorded("vm1", "vm2")


def test_a_marker_that_is_said_anew_is_the_same_dump(shop: Shop) -> None:
    """Touched, replaced, written again: recorded once, and repeated."""
    shop.sh("printf x > vm1; touch vm1.done")
    shop.recorded("vm1")
    for number, script in enumerate(("touch vm1.done", "touch .x; mv .x vm1.done", ": > vm1.done"), start=1):
        shop.sh(script)
        until(lambda expected=number: shop.site.counted("markers", "repeated") == expected)  # type: ignore[misc]
    assert shop.site.counted("markers", "recorded") == 1


def test_folders_made_with_a_marker_in_them_at_once(shop: Shop) -> None:
    """The marker is there before its folder can be watched."""
    shop.sh("for i in $(seq 50); do mkdir -p a$i/b; printf x > a$i/b/vm; touch a$i/b/vm.done; done")
    shop.recorded(*(f"a{number}/b/vm" for number in range(1, 51)))


FOLDERS: dict[str, str] = {
    "moved in": 'mv "$A/set" set',
    "copied, the markers first": 'mkdir set set/deep; cd "$A"; for d in set set/deep; do'
    ' cp -a $d/*.done "$OLDPWD/$d"; sleep 0.2; cp -a $d/vm? "$OLDPWD/$d"; done',
    "copied by cp -a": 'cp -a "$A/set" set',
    "copied by rsync": 'rsync -a "$A/set" ./',
    "copied by rsync with its own temporary folder": 'mkdir "$A/t"; rsync -a --temp-dir="$A/t" "$A/set" ./',
    "copied by tar": 'tar -C "$A" -c set | tar -x',
    "moved in and renamed at once": 'mv "$A/set" .set; mv .set set',
}


@pytest.mark.parametrize("way", FOLDERS)
def test_a_folder_of_dumps_with_their_markers(way: str, shop: Shop) -> None:
    """With a folder in it, and what comes into both afterwards."""
    (shop.aside / "set/deep").mkdir(parents=True)
    for folder in ("set", "set/deep"):
        for number in range(3):
            done(shop.aside / folder, f"vm{number}")
    shop.sh(FOLDERS[way])
    paths = [f"{folder}/vm{number}" for folder in ("set", "set/deep") for number in range(3)]
    until(lambda: shop.site.waiting() == set(paths))
    for folder in ("set", "set/deep"):
        done(shop.dumps / folder, "later")
    shop.recorded(*paths, "set/later", "set/deep/later")


def test_a_dump_that_is_a_folder(shop: Shop) -> None:
    """Its marker is beside it; what is in it gives no news."""
    shop.sh("mkdir vm1; printf x > vm1/disk0; printf y > vm1/disk1; touch vm1.done")
    shop.recorded("vm1")


#: 255 bytes is the longest name there is, and ".done" is five of them.
NAMES = [
    b"\xff\xfe",
    b"new\nline",
    b"tab\tbell\a",
    b"quote'\"\\",
    "zürich \u2603".encode(),
    b"x" * 250,
    b"-rf",
]


@pytest.mark.parametrize("name", NAMES, ids=[str(number) for number in range(len(NAMES))])
def test_a_name_of_any_bytes(name: bytes, shop: Shop) -> None:
    """Whether it can be a VM's is not the matter here: it is recorded, be it as a bad one."""
    shop.sh('printf x > "./$1"; touch "./$1.done"', name)
    shop.site.records(os.fsdecode(name))
    assert shop.site.counted("markers", "recorded") + shop.site.counted("markers", "bad") == 1


@pytest.mark.parametrize("kind", ["failed", "running"])
def test_the_other_markers(kind: str, shop: Shop) -> None:
    """They come by the same ways."""
    shop.sh(f"touch vm1.{kind}")
    until(lambda: shop.site.counted("markers", kind) == 1)


def test_a_dump_that_is_copied_after_its_marker_and_takes_its_time(shop: Shop) -> None:
    """It is looked at again after a second or two; what is still newer than its marker then is never taken."""
    shop.sh('printf x > "$A/vm1"; touch -d yesterday "$A/vm1"; touch vm1.done; sleep 0.1; printf ... > vm1')
    until(lambda: shop.site.counted("markers", "rejected") > 0)  # it is not there, or newer than its marker
    shop.sh('cp -a "$A/vm1" vm1')
    shop.recorded("vm1")


def test_what_was_there_before_the_start_is_recorded_once(tmp_path: Path) -> None:
    """And not again by the next start."""
    site = Site(tmp_path)
    (site.dumps / "set").mkdir()
    done(site.dumps, "vm1")
    done(site.dumps / "set", "vm2")
    for _ in range(2):
        with site.watched():
            assert site.waiting() == {"vm1", "set/vm2"}
    assert site.counted("markers", "recorded") == 2


def test_what_is_no_marker_is_not_looked_at(shop: Shop) -> None:
    """Dot names, export trees, what lies in a dump, a folder that is named like a marker."""
    scripts: list[Callable[[], None]] = [
        lambda: shop.sh("touch .done .vm.done; mkdir .hidden; touch .hidden/vm.done"),
        lambda: shop.sh("mkdir -p .rsync/vm1; touch .rsync/vm1/vm.done"),
        lambda: shop.sh("mkdir vm1; touch vm1.running; sleep 0.1; touch vm1/inner.done"),
        lambda: shop.sh("mkdir vm3.done; touch vm4.done.tmp vm4.DONE"),
    ]
    for script in scripts:
        script()
    done(shop.dumps, "last")
    until(lambda: "last" in shop.site.waiting())
    shutil.rmtree(shop.dumps / ".hidden")
    assert shop.site.waiting() == {"last"}
    assert not any(shop.site.is_recorded(path) for path in (".hidden/vm", "vm1/inner", "vm3", "vm4", ".rsync/vm1/vm"))
