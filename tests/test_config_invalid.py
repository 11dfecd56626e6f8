"""Every mistake in ``tests/data/config/invalid`` gets the sentence beside it, whole (its README says how)."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config.load import load
from core.config.messages import ConfigError
from core.errors import ExitCode
from tests.mounts import Mount, mount

__all__ = ["mount"]  # the fixture

INVALID = Path(__file__).parent / "data" / "config" / "invalid"


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dumps").mkdir()
    (tmp_path / "weekly" / "inside").mkdir(parents=True)
    (tmp_path / "link-to-dumps").symlink_to("dumps")
    (tmp_path / "vm1").touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def without_access_times(mount: Mount) -> Path:
    folder = mount("tmpfs", "noatime")
    (folder / "dumps").mkdir()
    return folder


def stand_ins(content: bytes, scratch: Path, mount: Mount) -> dict[bytes, bytes]:
    """What the words in a file stand for; a mount is made only for a file that names it."""
    made: dict[bytes, Callable[[], Path]] = {
        b"@here@": lambda: scratch,
        b"@other-filesystem@": lambda: mount("tmpfs"),
        b"@bind-mount@": lambda: mount("bind", source=scratch / "weekly"),
        b"@noatime@": lambda: without_access_times(mount),
    }
    return {word: bytes(make()) for word, make in made.items() if word in content or word == b"@here@"}


@pytest.mark.parametrize("mistake", sorted(INVALID.glob("*.toml")), ids=lambda path: path.stem)
def test_a_mistake_gets_its_sentence(mistake: Path, scratch: Path, mount: Mount) -> None:
    """Its line, its key, what is wrong and what would be right; and nothing is left behind in the folders."""
    content = mistake.read_bytes()
    words = stand_ins(content, scratch, mount)
    for word, meaning in words.items():
        content = content.replace(word, meaning)
    Path("config.toml").write_bytes(content)
    before = set(scratch.rglob("*"))
    with pytest.raises(ConfigError) as caught:
        load(Path("config.toml"))
    told = f"{caught.value}\n"
    for word, meaning in words.items():
        told = told.replace(meaning.decode(), word.decode())
    expected = mistake.with_suffix(".expected")
    if os.environ.get("RENEW"):
        expected.write_text(told)
    assert told == expected.read_text()
    assert caught.value.exit_code is ExitCode.USAGE
    assert "\n".join(caught.value.errors) == str(caught.value)
    assert set(scratch.rglob("*")) == before


def test_every_sentence_belongs_to_a_mistake() -> None:
    """An expectation without its file would never be looked at."""
    assert {path.stem for path in INVALID.glob("*.expected")} == {path.stem for path in INVALID.glob("*.toml")}
