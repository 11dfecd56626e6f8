"""What reaches beyond this host: where the page is served, who is pinged, where the export trees are pushed to.

As in ``core.config.types`` each function raises ValueError with a sentence that names what would be right.
A URL is a secret: whoever has it can report that all is well. No sentence of these shows one.
"""

import re
import string
import urllib.parse
from pathlib import Path

from core.config import types
from core.config.section import Section, key, optional_section
from core.config.types import shown, text
from core.enums import Occasion, Trouble

#: In a URL: the name of the backup set that is dumped.
BACKUP_SET = "{backup_set}"
#: In a destination: the name of the watch folder.
WATCH = "{watch}"

_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"
_LISTEN = r"(?:\[(?P<six>[^\]]*)\]|(?P<host>[^:\[\]]*)):(?P<port>[0-9]{1,5})"
#: What may stand in a URL, and the braces of BACKUP_SET; anything else would have to be escaped.
_OF_URLS = frozenset(string.ascii_letters + string.digits + "-._~:/?[]@!$&'()*+,;=%")
#: rsync's own rule: a colon before the first slash makes it a host's.
_OF_A_HOST = re.compile(r"[^/]*:")

#: Set by Tidegate itself, or: what they leave out would be held to have arrived.
_REFUSED = frozenset(
    (
        *("--rsh", "--partial-dir", "--out-format", "--log-format", "--log-file", "--log-file-format", "--stats"),
        *("--human-readable", "--progress", "--info", "--quiet", "--files-from", "--from0", "--relative"),
        *("--dry-run", "--list-only", "--write-batch", "--only-write-batch", "--read-batch", "--delay-updates"),
        *("--size-only", "--ignore-existing", "--existing", "--ignore-non-existing", "--update", "--compare-dest"),
    )
)
#: What they do to the dumps here, or to the storage's last good copy.
_HARMFUL = frozenset(("--remove-source-files", "--remove-sent-files", "--inplace", "--append", "--append-verify"))
_REFUSED_LETTERS = frozenset("enhPqRu0")
_TAKES_A_VALUE = "BTfM"


def read_listen(value: object) -> tuple[str, int]:
    """Host and port of ``"127.0.0.1:9877"`` or ``"[::1]:9877"``."""
    right = 'write it like "127.0.0.1:9877" or "[::1]:9877"'
    match = re.fullmatch(_LISTEN, text(value))
    if match is None:
        raise ValueError(f"{value!r} is not an address with a port; {right}")
    if not 1 <= (port := int(match["port"])) <= 65535:
        raise ValueError(f"{value!r}: {port} is not a port; it must lie between 1 and 65535")
    host = match["host"] if match["six"] is None else match["six"]
    if not (_is_ipv6(host) if match["six"] is not None else re.fullmatch(_HOST, host)):
        raise ValueError(f'{value!r}: {host!r} is not a host; {right}; "0.0.0.0:{port}" is every address')
    return host, port


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. Of names only ``localhost`` is known to."""
    import ipaddress

    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def read_hosts(value: object) -> tuple[str, ...]:
    """Names by which a browser may ask for the page, like ``["backup.example.org"]``."""
    right = 'write it like ["backup.example.org"], without a port'
    if not isinstance(value, list):
        raise ValueError(f"{shown(value)} is not a list; {right}")  # noqa: TRY004
    for one in value:
        if not (isinstance(one, str) and re.fullmatch(_HOST, one)):
            raise ValueError(f"{shown(one)} is not the name of a host; {right}")
    return tuple(value)


def read_url(value: object) -> str:
    """The address of one check."""
    if isinstance(value, str) and BACKUP_SET in value:
        raise ValueError(f"{BACKUP_SET} is known in [notify.dump] alone; write the address of one check")
    return url_of_sets(value)


def url_of_sets(value: object) -> str:
    """The address of a check; with ``{backup_set}`` in it one for each set."""
    if not isinstance(value, str):
        raise ValueError("is not text; write the address in quotes")  # noqa: TRY004
    if not set(value.replace(BACKUP_SET, "")) <= _OF_URLS:
        raise ValueError("has characters that no URL has; copy it once more, or write them as %20")
    _refuse_what_cannot_be_asked(value.replace(BACKUP_SET, "set"))
    return value


def alert_command(value: object) -> tuple[str, ...]:
    """The words of the command that is run when something is wrong."""
    return types.command(value, script='mail -s "$TIDEGATE_SUBJECT" root')


def read_destination(value: object, folder: Path) -> str:
    """What rsync takes as its destination: a host's, or an absolute path here. ``{watch}`` is a watch folder's name."""
    written = text(value)
    if written.startswith("-"):
        raise ValueError(f"{written!r} begins with a dash; rsync would take it for an option")
    bare = written.replace(WATCH, "")
    if "{" in bare or "}" in bare:
        raise ValueError(f"{written!r}: {WATCH} is the only placeholder here")
    if bare.startswith("~"):
        raise ValueError(f"{written!r}: ~ is not expanded here; write the whole path")
    return written if is_of_a_host(written) else str(folder / written)


def is_of_a_host(written: str) -> bool:
    """Whether a destination is on a host, and not in a folder of this one."""
    return _OF_A_HOST.match(written) is not None


def read_options(value: object) -> tuple[str, ...]:
    """Options for rsync beside those that Tidegate sets."""
    found = _words(value)
    for word in found:
        if not word.startswith("-") or word in ("-", "--"):
            raise ValueError(f'{word!r} is not an option; write it as one word, like "--bwlimit=10M"')
        long = word.partition("=")[0]
        if long in _HARMFUL:
            raise ValueError(f"{word!r} endangers dumps or the last good copy; leave it out")
        if long in _REFUSED or (not word.startswith("--") and _letters(word) & _REFUSED_LETTERS):
            raise ValueError(f"{word!r} is set by Tidegate, or would hide what did not arrive; leave it out")
    return found


def remote_shell(value: object) -> tuple[str, ...]:
    """The words of rsync's remote shell, the program first."""
    if not (found := _words(value)):
        raise ValueError('is empty; write it like ["ssh", "-p", "2222"]')
    return found


def _is_ipv6(host: str) -> bool:
    import ipaddress

    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return True


def _refuse_what_cannot_be_asked(written: str) -> None:
    try:
        parts = urllib.parse.urlsplit(written)
        port = parts.port
        (parts.hostname or "").encode("idna")
    except ValueError:
        raise ValueError('is not a URL; write it like "https://hc-ping.com/…"') from None
    if parts.scheme not in ("http", "https") or not parts.hostname or port == 0:
        raise ValueError('is not a URL of http or https; write it like "https://hc-ping.com/…"')
    if "@" in parts.netloc:
        raise ValueError("has a user's name or password, which is not supported; put a key into the path")


def _words(value: object) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise ValueError(f'{shown(value)} is not a list; write it like ["ssh", "-p", "2222"]')  # noqa: TRY004
    return tuple(text(word) for word in value)


def _letters(word: str) -> set[str]:
    """Of ``-avB4096`` those that are options."""
    letters = word[1:]
    end = next((at for at, letter in enumerate(letters) if letter in _TAKES_A_VALUE), len(letters))
    return set(letters[: end + 1])


types.JSON_SCHEMAS |= {
    read_hosts: types.LIST,
    read_options: types.LIST,
    remote_shell: types.LIST,
    alert_command: types.LIST,
}


class Push(Section):
    """``[sync]``: where `tidegate sync` pushes the export trees to."""

    destination = key(
        read_destination,
        "Where the export trees are pushed, as rsync takes it; {watch} is the name of the watch folder.",
        example="backup@storage:/srv/host1",
        in_folder=True,
    )
    options = key(
        read_options, "Options of rsync besides those that Tidegate sets.", default=("--archive", "--timeout=600")
    )
    ssh = key(remote_shell, "The remote shell of rsync.", default=("ssh", "-o", "BatchMode=yes"))
    rsync = key(types.text, "The rsync program.", default="rsync")

    def destination_of(self, watch: str) -> str:
        """Where the export tree of this watch folder goes."""
        return self.destination.replace(WATCH, watch)

    @property
    def is_over_ssh(self) -> bool:
        """Whether rsync starts its remote shell, and does not speak to a daemon."""
        written = self.destination
        return is_of_a_host(written) and "::" not in written and not written.startswith("rsync://")


class PingAddress(Section):
    """``[notify.pass]`` and ``[notify.sync]``: the URL, which is a secret, or the file that holds it."""

    url = key(read_url, "URL that is pinged, as healthchecks.io has it.", default=None, is_secret=True)
    url_file = key(types.path, "File that holds the URL.", default=None, in_folder=True)


class DumpPingAddress(PingAddress):
    """``[notify.dump]``."""

    url = key(
        url_of_sets, "URL that is pinged; {backup_set} is the name of the backup set.", default=None, is_secret=True
    )


class Notify(Section):
    """``[notify]``."""

    command = key(alert_command, "Command that is run when something is wrong, still is, or is over.", default=())
    on = key(types.words_of(*Trouble), "What the command is run for.", default=frozenset(Trouble))
    timeout = key(types.notify_timeout, "How long each ping and the command may take.", default=10.0)
    remind = key(
        types.span_above_zero, "After which time the command is run again for what persists.", default=259_200.0
    )
    of_pass = optional_section(PingAddress, "Pinged by each pass.", name="pass")
    of_dump = optional_section(DumpPingAddress, "Pinged by each `tidegate dump`.", name="dump")
    of_sync = optional_section(PingAddress, "Pinged by each `tidegate sync`.", name="sync")

    @property
    def pings(self) -> dict[Occasion, PingAddress]:
        """Who is pinged of which run."""
        every = {Occasion.PASS: self.of_pass, Occasion.DUMP: self.of_dump, Occasion.SYNC: self.of_sync}
        return {occasion: address for occasion, address in every.items() if address is not None}


class Http(Section):
    """``[exporters.http]``: the page and /metrics."""

    listen = key(read_listen, "Address at which the page and /metrics are served.", example="127.0.0.1:9877")
    beyond_loopback = key(
        types.flag,
        "Whether that may be an address that other machines reach, without encryption or a log-in.",
        default=False,
    )
    hosts = key(read_hosts, "Further names by which a browser may ask for the page.", default=())
