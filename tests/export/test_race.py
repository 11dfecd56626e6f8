"""Somebody who may write in the dump folder swaps a dump for a symbolic link to a secret, again and again."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from core.reasons import Reason
from policy.export import LinkRequest, Presence, Published
from tests.export.house import House, inode
from tests.mounts import Mount, mount

pytestmark = pytest.mark.slow

__all__ = ["mount"]  # the fixture; a tmpfs, since thousands of fsyncs prove nothing here

_TRIES = int(os.environ.get("TIDEGATE_TRIES", "2000"))  # `make race` sets more
_AT_MOST = 10 * _TRIES  # until both outcomes were seen, whatever else the machine does


@contextmanager
def attacker(folder: Path, name: str, kept: Path, secret: Path) -> Iterator[None]:
    script = Path(__file__).with_name("attacker.py")
    with subprocess.Popen([sys.executable, script, folder, name, kept, secret], stderr=subprocess.PIPE) as process:
        yield
        assert process.poll() is None, process.stderr
        process.kill()


def race(house: House, request: LinkRequest, secrets: set[int]) -> None:
    """Publishes until both ends were seen, and asserts after each try that nothing but the dump was let out."""
    outcomes: dict[str, int] = {}
    tries = 0
    while tries < _TRIES or (len(outcomes) < 2 and tries < _AT_MOST):
        tries += 1
        [outcome] = house.publish(request)
        word = "published" if isinstance(outcome, Published) else str(outcome.reason)
        outcomes[word] = outcomes.get(word, 0) + 1
        if isinstance(outcome, Published):
            assert house.export.presence("vm1", request.identity) is Presence.INTACT
            assert house.export.withdraw("vm1", request.identity)
        assert not secrets & {inode(path) for path in house.tree.rglob("*")}
        assert house.visible() == set()
    print(f"{tries:,} tries, 0 leaks: {outcomes}")
    assert outcomes.pop("published"), outcomes
    assert set(outcomes) <= {Reason.UNSAFE, Reason.MISSING, Reason.CHANGED}
    assert outcomes


def test_a_dump_swapped_for_a_symbolic_link_never_lets_a_secret_out(mount: Mount) -> None:
    root = mount("tmpfs")
    house = House(root)
    secret = root / "secret"
    secret.write_bytes(b"a secret")
    dump = house.dump("vm1")
    kept = root / "kept"
    kept.hardlink_to(dump)
    request = house.request("vm1")
    with attacker(house.source, "vm1", kept, secret):
        race(house, request, {inode(secret)})


def test_a_folder_on_the_way_swapped_for_a_symbolic_link_never_lets_a_secret_out(mount: Mount) -> None:
    root = mount("tmpfs")
    house = House(root)
    secrets = root / "secrets"
    secrets.mkdir()
    (secrets / "vm1").write_bytes(b"a secret")
    house.dump("a/vm1")
    request = house.request("a/vm1")
    with attacker(house.source, "a", house.source, secrets):
        race(house, request, {inode(secrets / "vm1")})


def test_a_folder_dump_swapped_for_a_symbolic_link_never_lets_a_secret_out(mount: Mount) -> None:
    root = mount("tmpfs")
    house = House(root)
    secrets = root / "secrets"
    secrets.mkdir()
    (secrets / "disk0").write_bytes(b"a secret")
    house.dump("vm1", {"disk0": b"zero"})
    request = house.request("vm1")
    with attacker(house.source, "vm1", house.source, secrets):
        race(house, request, {inode(secrets / "disk0")})
