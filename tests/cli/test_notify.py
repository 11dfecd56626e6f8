"""``tidegate notify --test``: each of them is tried, and what came back is shown."""

from pathlib import Path

import pytest

from tests.host import Host
from tests.notify.receivers import receiving

NIGHTLY = {"vms": ["vm1"], "command": ["sh", "-c", 'echo x > "$OUT"']}


def test_every_ping_is_sent_and_the_command_is_run(tmp_path: Path) -> None:
    with receiving() as receiver:
        pings = {"pass": {"url": receiver.url}, "dump": {"url": receiver.url + "/{backup_set}"}}
        command = ["sh", "-c", f'printf %s "$TIDEGATE_MESSAGE" > {tmp_path}/told']
        sets = {"nightly": NIGHTLY, "weekly": NIGHTLY, "others": {"vms": ["vm2"]}}
        host = Host(tmp_path / "host", backup_sets=sets, notify={"command": command, **pings})
        said = [line.rpartition(", ")[0] for line in host.run("notify", "--test").stdout.splitlines()]
    at = receiver.url.replace("ping/secret-key", "…")
    assert said == [
        *(f"pass {word}: {at}: 200 OK" for word in ("start", "fail", "success")),
        *(
            f"dump {name} {word}: {at}: 200 OK"
            for name in ("nightly", "weekly")
            for word in ("start", "fail", "success")
        ),
        "command: sh: ended with status 0",
    ]
    of_a_check = ("/start", "/fail", "")
    assert receiver.paths == [
        f"/ping/secret-key{check}{word}" for check in ("", "/nightly", "/weekly") for word in of_a_check
    ]
    assert (tmp_path / "told").read_text() == "this is a test: nothing is wrong"


@pytest.mark.parametrize(("command", "code"), [(["true"], 1), (["false"], 3)])
def test_the_exit_code_says_whether_some_or_none_could_be_told(tmp_path: Path, command: list[str], code: int) -> None:
    host = Host(tmp_path / "host", notify={"command": command, "pass": {"url_file": "missing"}})
    shape = host.json("notify", "--test", code=code)
    assert shape["format"] == 2
    assert [(one["what"], one["is_well"]) for one in shape["tried"]] == [("pass", False), ("command", code == 1)]
    assert shape["tried"][0]["said"] == f"{host.folder}/missing cannot be read: No such file or directory"


def test_it_says_what_is_missing_where_nobody_is_told(tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    sentence = f"tidegate: {host.file}: [notify] names nobody: set `command`, or `url` in [notify.pass]\n"
    assert host.run("notify", "--test", code=2).stderr == sentence
    assert "--test" in host.run("notify", code=2).stderr


def test_check_says_what_shows_without_anybody_being_told(tmp_path: Path) -> None:
    host = Host(tmp_path / "host", notify={"command": ["no-such-program"], "pass": {"url_file": "missing"}})
    said = host.run("check").stdout
    assert f"[notify.pass] url_file: {host.folder}/missing cannot be read: No such file or directory\n" in said
    assert "[notify] command: no-such-program is not found on the PATH here; nobody can be told of trouble\n" in said
