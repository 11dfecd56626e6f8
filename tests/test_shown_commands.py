"""What README, help, documents and advice show is what the command line understands, and it works when pasted."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from tests.cli.test_help import commands as helps
from tests.host import ROOT, Host
from tests.shown_commands import Words, advised, commands, mentioned, pasted, sentences, spoken_of, understood
from tidegate.cli.main import COMMANDS

PACKAGES: list[str] = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["packages"]
DOCUMENTS = [
    *(ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted((ROOT / "deploy").rglob("*.md")),
]

#: Words that stand for something, and what a small host has of it. ``{}`` is the host's folder.
STANDS_FOR = {
    "VM": "vm1",
    "{vm}": "vm1",  # a sentence of the program fills it in
    "vm7": "vm1",
    "OLD": "vm1",
    "NEW": "vm3",
    "X": "{}/dumps/vm2",
    "DUMP": "{}/dumps/vm2",
    "/srv/dumps/vm1": "{}/dumps/vm2",
    "/srv/dumps/.rsync": "{}/dumps/.rsync",
    "WATCH": "dumps",
    "BACKUP_SET": "weekly",
    "COPY": "{}/dumps/.rsync",
    "/backup/host1": "{}/dumps/.rsync",
    "FOLDER": "{}/restored",
    "/var/lib/libvirt/images": "{}/restored",
    "FILE": "{}/stats",
    "TIME": "2026-11-20T03:00:00+01:00",
    "{…}": "vm1",
    "--time {…}": "2026-11-20T03:00:00+01:00",
    "--moved {…}": "dumps",
    "/etc/tidegate/config.toml": "{}/config.toml",
}
#: What is not run here, and who runs it.
RUN_ELSEWHERE: dict[Words, str] = {
    ("watch",): "runs until it is stopped: tests/service",
    ("status", "--watch"): "the same: tests/cli/test_watching.py",
    ("post-xfer",): "in the environment of an rsync daemon: tests/deploy/test_rsyncd.py",
    ("pre-xfer",): "in the environment of an rsync daemon: tests/deploy/test_rsyncd.py",
    ("sync",): "a host that pushes: tests/push",
    ("synced", "--stats"): "needs what an rsync printed: tests/policy/test_transfers.py",
    ("synced", "--receipt"): "needs what a storage has checked: tests/policy/test_receipt.py",
    ("state", "export"): "prints no text: tests/state",
    ("state", "rebuild"): "when the state is lost: tests/policy/test_rebuild.py",
    ("adopt", "--moved"): "when a folder has moved: tests/watcher",
}
#: Commands that are spoken of by their name alone.
NAMED = {("mark-sent",)}


def of_documents() -> Iterator[tuple[str, Words]]:
    for document in DOCUMENTS:
        text = document.read_text()
        for words in (*pasted(text), *mentioned(text)):
            yield str(document.relative_to(ROOT)), words


def of_the_program() -> Iterator[tuple[str, Words]]:
    """Its help, its sentences, its page and the comments of the configuration that it comes with."""
    for context in helps():
        text = re.sub(r"^Usage: .*", "", context.get_help())
        bare = re.findall(r"\btidegate completion .*$", text, re.MULTILINE)  # in a table of lines to paste
        yield from (
            (f"{context.command_path} --help", words) for words in (*mentioned(text), *commands("\n".join(bare)))
        )
    for path in (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*"))):
        place = str(path.relative_to(ROOT))
        if path.suffix == ".py":
            yield from ((place, words) for words in advised(path.read_text()))
        elif path.suffix in {".html", ".j2"}:
            lines = re.findall(r"<code>(tidegate [^<]*)</code>", re.sub(r"\{\{.*?\}\}", "{…}", path.read_text()))
            yield from ((place, words) for words in commands("\n".join(lines)))
    comments = re.sub(r"^# ?", "", (ROOT / "config.toml").read_text(), flags=re.MULTILINE)
    yield from (("config.toml", words) for words in mentioned(comments))


def filled(words: Words, folder: Path) -> list[str]:
    """With what a small host has; what a sentence fills in behind an option is a value of that option."""
    pairs = zip(("", *words), words, strict=False)
    given = [STANDS_FOR.get(f"{before} {word}", STANDS_FOR.get(word, word)) for before, word in pairs]
    return [re.sub(r"^\{\}", str(folder), word) for word in given]


def shown() -> dict[Words, str]:
    """Each line once, with the first place that shows it."""
    places = [*of_documents(), *of_the_program()]
    return {words: place for place, words in reversed(places) if "…" not in words and "COMMAND" not in words}


SHOWN = shown()


def runnable(words: Words) -> bool:
    """It does not only name a command, and a small host is all that it needs."""
    try:
        understood(filled(words, ROOT))
    except click.MissingParameter:
        return False
    except click.BadParameter:  # a folder that only a host has
        pass
    except click.UsageError:  # it only names an option, or the other test fails
        return False
    return words not in NAMED and not any(words[: len(start)] == start for start in RUN_ELSEWHERE)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """A VM whose dump has left and is off-site, another whose dump is not marked yet, and a sync that runs."""
    host = Host(
        tmp_path / "host",
        offsite={"confirm": "report"},
        backup_sets={"weekly": {"vms": ["vm1"], "command": ["sh", "-c", "echo a dump >$OUT"]}},
        notify={"command": ["true"]},
        exporters={"textfile": {"path": str(tmp_path / "tidegate.prom")}},
    )
    (host.tree / ".tidegate").mkdir(parents=True)
    host.run("dump", "weekly", "--then-pass")
    host.dump("vm2", 500, marked=False)
    host.run("sync-started")
    host.run("synced")
    host.run("sync-started")
    return host


@pytest.mark.parametrize("words", SHOWN, ids=" ".join)
def test_the_command_line_understands_it(words: Words, tmp_path: Path) -> None:
    """An unknown command or option, or a value that is none, fails. What leaves its values out is spoken of."""
    (tmp_path / "dumps" / ".rsync").mkdir(parents=True)
    (tmp_path / "dumps" / "vm1").touch()
    (tmp_path / "stats").touch()
    try:
        spoken_of(filled(words, tmp_path))
    except click.UsageError as error:
        pytest.fail(f"{SHOWN[words]} shows `tidegate {' '.join(words)}`: {error.format_message()}")


@pytest.mark.parametrize("words", [words for words in SHOWN if runnable(words)], ids=" ".join)
def test_it_works_when_it_is_pasted(words: Words, host: Host) -> None:
    host.run(*filled(words, host.folder), code=0)


def test_an_advice_can_be_told_from_the_sentence_around_it() -> None:
    """A command stands between backticks, so that it is clear what to paste."""
    bare = re.compile(rf"(?<![`\w])tidegate (?:{'|'.join(set(COMMANDS) - {'completion'})})\b(?!`)")
    found = [
        (str(path.relative_to(ROOT)), sentence)
        for package in PACKAGES
        for path in (ROOT / package).rglob("*.py")
        for sentence in sentences(path.read_text())
        if bare.search(sentence) and "`" not in sentence and not sentence.startswith("tidegate ")
    ]
    assert found == []
