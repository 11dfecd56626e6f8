"""What a good configuration becomes; ``tests/data/config/valid`` holds samples, ``config.toml`` is one."""

import datetime
import json
import re
import zoneinfo
from collections.abc import Callable
from pathlib import Path

import pytest

from core.config import load as loading
from core.config.dump_settings import SHA256, SIZE, Verification
from core.config.load import find, load
from core.config.messages import ConfigError, sections_of
from core.config.section import json_schema
from core.config.settings import Config, Weekdays
from core.config.types import host_zone, utc
from core.enums import (
    AdapterName,
    DayEnd,
    Evidence,
    Links,
    Occasion,
    Oversize,
    Publish,
    Signals,
    Storage,
    Trouble,
    VmFrom,
    WatchMode,
)
from core.errors import UsageError
from tests.users import as_nobody, open_the_way

ROOT = Path(__file__).resolve().parent.parent
VALID = Path(__file__).parent / "data" / "config" / "valid"

DAY = 86_400.0
SECTIONS = dict(sections_of(Config))

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a configuration into a folder of its own, beside some dump folders."""
    for folder in ("dumps/inside", "weekly/.hidden"):
        (tmp_path / folder).mkdir(parents=True)

    def write(text: str) -> Path:
        file = tmp_path / "config.toml"
        file.write_bytes(text.encode())
        return file

    return write


def smallest(*, watch: str = "", offsite: str = 'storage = "mirror"', more: str = "") -> str:
    return (
        f'[state]\npath = "state.db"\n[[watch]]\npath = "dumps"\n{watch}\n'
        f'[limit]\ndaily = "10 GB"\n[offsite]\n{offsite}\n{more}\n'
    )


# --- samples ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sample", sorted(VALID.glob("*.toml")), ids=lambda path: path.stem)
def test_every_sample_loads_with_its_folders_looked_at(sample: Path, written: Written) -> None:
    """A sample that fails would teach a mistake; and looking leaves nothing behind."""
    file = written(sample.read_bytes().decode())
    before = set(file.parent.rglob("*"))
    assert load(file) == load(file, preflight=False)
    assert set(file.parent.rglob("*")) == before


def test_every_key_arrives_in_its_place(written: Written) -> None:
    """Bytes, seconds, absolute paths and words; nothing is left as text to be read again."""
    file = written((VALID / "every-key.toml").read_text())
    here = file.parent
    config = load(file)
    assert config.file == file
    assert config.state.path == Path("/var/lib/tidegate/state.db")
    (watch,) = config.watches
    assert watch.values() == {
        "path": here / "dumps",
        "name": "nightly",
        "export": here / "out",
        "layout": "{backup_set}-{vm}{suffixes}",
        "vm_pattern": re.compile("^(?P<vm>[a-z]+)_"),
        "vm": VmFrom.FOLDER,
        "prefix": "host1-",
        "recursive": False,
        "mode": WatchMode.POLL,
        "scan_interval": 90.0,
        "publish": Publish.HARDLINK,
        "min_free": 2 * 10**9,
        "links": Links.STRICT,
        "quiet_names": None,
        "quiet_after": None,
        "signals": Signals.STATUS_OK,
    }
    limit = config.limit
    assert (limit.daily, limit.reserve, limit.oversize) == (1_610_612_736, 500_000_000, Oversize.HOLD)
    assert [limit.on(day) for day in range(7)] == [0, *[1_610_612_736] * 5, 9_000_000_000]
    assert config.day.values() == {
        "ends": DayEnd.AT,
        "at_least": 0.0,
        "quiet": 600.0,
        "at": datetime.time(22, 30),
        "timezone": zoneinfo.ZoneInfo("Europe/Berlin"),
    }
    assert config.daily_pass.at == datetime.time(6, 5)
    assert config.staleness.values() == {"target": 604_800.0, "max_dump_age": 1_209_600.0, "min_gain": 43_200.0}
    offsite = {"storage": Storage.MIRROR, "confirm": Evidence.PRESUMED, "retention": 2_592_000.0}
    assert config.offsite.values() == offsite
    assert config.markers.remove is False
    assert config.dump_logs == here / "logs"
    assert config.hypervisor is not None
    assert config.hypervisor.values() == {"command": ("list-vms",), "ignore": ("scratch",)}


def test_every_key_of_dumps_arrives_in_its_place(written: Written) -> None:
    """A VM's key comes before that of its set, and that before the default."""
    config = load(written((VALID / "every-key.toml").read_text()))
    assert {name: (one.target, one.vms) for name, one in config.backup_sets.items()} == {
        "weekly": (734_400.0, ("vm1", "vm2")),
        "on demand": (None, ()),
    }
    assert config.dumping_of("on demand") is None
    dumping = config.dumping_of("weekly")
    assert dumping is not None
    assert (dumping.watch, dumping.folder, dumping.parallel) == ("nightly", "", 2)
    of_set = {
        "target": 734_400.0,
        "adapter": AdapterName.COMMAND,
        "command": ("dump-vm", "--all"),
        "stdout": True,
        "suffix": ".img.zst",
        "pre": ("freeze",),
        "post": ("thaw", "now"),
        "timeout": 7_200.0,
        "retries": 1,
        "margin": 20_000_000_000,
        "checksum": True,
        "verify": (SIZE, SHA256, ("zstd", "-t")),
        "keep": 3,
        "uri": None,
    }
    own = {
        "adapter": AdapterName.LIBVIRT,
        "timeout": 21_600.0,
        "checksum": False,
        "verify": (),
        "keep": 1,
        "uri": "qemu:///session",
    }
    assert {vm: rule.values() for vm, rule in dumping.rules.items()} == {"vm1": of_set, "vm2": of_set | own}
    assert config.verification_of("vm1", "weekly") == Verification((SIZE, SHA256, ("zstd", "-t")), 7_200.0)
    assert config.verification_of("vm2", "weekly").checks == ()
    assert config.target_of("db1.prod", None) == config.target_of("db1.prod", "weekly") == 86_400.0
    assert config.target_of("vm2", "weekly") == 734_400.0
    assert config.target_of("vm3", None) == config.staleness.target


def test_every_key_of_what_reaches_beyond_this_host_arrives_in_its_place(written: Written) -> None:
    """Metrics, the page, pings and the alert command."""
    file = written((VALID / "every-key.toml").read_text())
    exporters, notify = load(file).exporters, load(file).notify
    assert exporters.http is not None
    assert exporters.textfile is not None
    assert (exporters.http.listen, exporters.textfile.path) == (("::1", 9877), file.parent / "tidegate.prom")
    assert not exporters.vm_series
    assert (notify.command, notify.on) == (("tell-admin", "--loud"), frozenset({Trouble.FAILED, Trouble.STALE}))
    assert (notify.timeout, notify.remind) == (5.0, 172_800.0)
    assert {occasion: (one.url, one.url_file) for occasion, one in notify.pings.items()} == {
        Occasion.PASS: ("https://hc-ping.com/key/pass?create=1", None),
        Occasion.DUMP: ("http://[::1]:8000/ping/{backup_set}", None),
        Occasion.SYNC: (None, file.parent / "ping-sync"),
    }


def test_what_is_left_out_has_its_documented_default(written: Written) -> None:
    """Paths, a limit and the storage are all that must be said."""
    file = written((VALID / "smallest.toml").read_text())
    here = file.parent
    config = load(file)
    assert config.state.path == here / "state.db"
    (watch,) = config.watches
    assert (watch.name, watch.path, watch.export) == ("dumps", here / "dumps", here / "dumps" / ".rsync")
    assert (watch.layout, watch.mode, watch.scan_interval) == ("{vm}{suffixes}", WatchMode.EVENTS, 300.0)
    assert (watch.vm_pattern, watch.min_free, watch.signals) == (None, None, None)
    assert (watch.recursive, watch.publish, watch.links) == (True, Publish.HARDLINK, Links.ANY)
    assert (config.limit.daily, config.limit.reserve, config.limit.oversize) == (10**10, 0, Oversize.HOLD)
    assert not config.limit.by_weekday
    day = config.day
    assert (day.ends, day.at_least, day.quiet, day.at) == (DayEnd.SYNC, 72_000.0, 3_600.0, datetime.time())
    assert day.timezone == host_zone()
    assert config.daily_pass.at is None
    assert config.staleness.values() == {"target": None, "max_dump_age": None, "min_gain": 0.0}
    assert (config.offsite.storage, config.offsite.confirm) == (Storage.MIRROR, Evidence.READ)
    assert config.offsite.retention is None
    assert config.markers.remove
    assert not config.backup_sets
    assert not config.vms
    assert (config.push, config.hypervisor) == (None, None)
    assert (config.exporters.http, config.exporters.textfile, config.exporters.vm_series) == (None, None, True)
    assert config.dump_logs == here / "state.db.dump-logs"
    assert config.notify.values() == {
        "command": (),
        "on": frozenset(Trouble),
        "timeout": 10.0,
        "remind": 259_200.0,
        "of_pass": None,
        "of_dump": None,
        "of_sync": None,
    }


def test_who_pushes_reports_by_himself(written: Written) -> None:
    """Without a word of it; and a local destination starts at the folder of the file."""
    config = load(written((VALID / "pushing.toml").read_text()))
    assert config.push is not None
    assert config.offsite.confirm is Evidence.REPORT


def test_what_stays_unsaid_follows_the_storage_and_the_mode(written: Written) -> None:
    """A collection gets each dump's own name; a folder without events is looked at every minute."""
    config = load(written(smallest(watch='mode = "poll"', offsite='storage = "collect"')))
    assert config.watches[0].layout == "{name}"
    assert config.watches[0].scan_interval == 60.0


@pytest.mark.parametrize(("path", "name"), [("dumps/", "dumps"), ("./dumps/.", "dumps"), ("weekly/../dumps", "dumps")])
def test_a_watch_is_named_after_its_folder(written: Written, path: str, name: str) -> None:
    """However the path is written."""
    config = load(written(smallest().replace('path = "dumps"', f'path = "{path}"')))
    assert config.watches[0].name == name


def test_a_watch_on_the_root_must_be_given_a_name(written: Written) -> None:
    """It has no last component to be named after."""
    file = written(smallest().replace('path = "dumps"', 'path = "/"'))
    with pytest.raises(ConfigError) as caught:
        load(file, preflight=False)
    assert caught.value.errors == (f'{file}:3: [[watch]] name: missing: / gives none; set name = "dumps"',)


@pytest.mark.parametrize(
    ("listen", "meant"),
    [
        ("127.0.0.1:9877", ("127.0.0.1", 9877)),
        ("[::1]:80", ("::1", 80)),
        ("[::]:80", ("::", 80)),
        ("metrics.example.org:65535", ("metrics.example.org", 65535)),
    ],
)
def test_an_address_is_a_host_and_a_port(written: Written, listen: str, meant: tuple[str, int]) -> None:
    """IPv6 stands in brackets, as in a URL."""
    config = load(written(smallest(more=f'[exporters.http]\nlisten = "{listen}"\nbeyond_loopback = true')))
    assert config.exporters.http is not None
    assert config.exporters.http.listen == meant


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "[::1]", "localhost"])
def test_this_machine_may_ask_without_a_word(written: Written, host: str) -> None:
    """All of 127.0.0.0/8 is loopback."""
    config = load(written(smallest(more=f'[exporters.http]\nlisten = "{host}:9877"')))
    assert config.exporters.http is not None
    assert config.exporters.http.listen == (host.strip("[]"), 9877)


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.0.2.1", "[fe80::1]", "metrics.example.org", "localhost.lan"])
@pytest.mark.parametrize("word", ["", "beyond_loopback = false"])
def test_other_machines_may_ask_only_where_the_configuration_says_so(written: Written, host: str, word: str) -> None:
    """What is served has neither encryption nor a log-in."""
    file = written(smallest(more=f'[exporters.http]\nlisten = "{host}:9877"\n{word}'))
    with pytest.raises(ConfigError) as caught:
        load(file)
    (error,) = caught.value.errors
    assert "[exporters.http] listen: " in error
    assert "beyond_loopback = true" in error


def test_nothing_is_looked_at_where_the_surroundings_do_not_matter(written: Written) -> None:
    """A command that shows the state works while a disk is away."""
    file = written(smallest().replace('path = "dumps"', 'path = "/nowhere/at/all"'))
    assert load(file, preflight=False).watches[0].path == Path("/nowhere/at/all")


# --- the configuration that is shipped --------------------------------------------------------------------


def shipped(written: Written, *edits: tuple[str, str]) -> Config:
    text = (ROOT / "config.toml").read_text()
    for pattern, by in edits:
        text, count = re.subn(pattern, by, text, flags=re.MULTILINE)
        assert count, f"nothing in config.toml looks like {pattern}"
    file = written(text)
    (file.parent / "var" / "dumps").mkdir(parents=True, exist_ok=True)
    return load(file)


#: A default in a comment, and an example in one.
DEFAULT = r"^# (?=[a-z_]+ = (?!unset))"
EXAMPLE = r"^#   (?=\[|[a-z_]+ = )"


def test_the_shipped_configuration_runs_as_it_is(written: Written) -> None:
    """All it needs is the folder that ``make run`` makes."""
    config = shipped(written)
    assert config.limit.daily == 10_000_000_000
    assert config.daily_pass.at == datetime.time(12, 0)
    assert config.exporters.http is not None
    assert config.exporters.http.listen == ("127.0.0.1", 9877)


def test_the_shipped_configuration_says_which_folder_is_missing(written: Written) -> None:
    """Before ``make run`` the one mistake is that there are no dumps."""
    file = written((ROOT / "config.toml").read_text())
    with pytest.raises(ConfigError) as caught:
        load(file)
    (error,) = caught.value.errors
    assert error.endswith(f"the folder {file.parent}/var/dumps does not exist; make it (mkdir -p) or correct the path")


def test_a_commented_value_is_the_default(written: Written) -> None:
    """Uncommenting them all changes nothing."""
    assert shipped(written, (DEFAULT, "")) == shipped(written)


def test_every_example_in_a_comment_works(written: Written) -> None:
    """Somebody will uncomment exactly that."""
    config = shipped(written, (EXAMPLE, ""))
    weekly = config.backup_sets["weekly"]
    assert (weekly.target, weekly.vms) == (691_200.0, ("vm1", "vm2", "vm7"))
    dumping = config.dumping_of("weekly")
    assert dumping is not None
    assert {vm: rule.timeout for vm, rule in dumping.rules.items()} == {"vm1": DAY, "vm2": DAY, "vm7": 2 * DAY}
    assert dumping.rules["vm1"].verify == (SHA256, ("zstd", "-t"))
    assert config.target_of("vm7", "weekly") == 172_800.0
    assert [config.limit.on(day) for day in range(7)] == [*[10_000_000_000] * 5, 50_000_000_000, 0]
    assert config.notify.on == frozenset(Trouble)
    assert config.notify.pings[Occasion.DUMP].url_file == Path("/etc/tidegate/ping-dump")
    assert config.exporters.textfile is not None
    assert config.exporters.textfile.path == Path("/var/lib/prometheus/node-exporter/tidegate.prom")


def test_the_shipped_configuration_names_every_key() -> None:
    """A key that stands nowhere is a key that nobody finds."""
    text = (ROOT / "config.toml").read_text()
    named = set(re.findall(r"^(?:# |#   )?([a-z_]+) = ", text, re.MULTILINE))
    places = [(*at, name) for at, section in SECTIONS.items() for name in section.keys]
    keys = {place[-1] for place in places if not {place, (*place, "*")} & SECTIONS.keys()}
    examples = {"saturday", "sunday"}
    assert named == keys - set(Weekdays.keys) | examples


def test_every_key_has_a_sentence_of_what_it_is() -> None:
    """The reference and the JSON schema are made of them."""
    for section in SECTIONS.values():
        for key in section.keys.values():
            assert key.about.endswith("."), f"{section.__name__}.{key.name}"


def test_the_json_schema_has_every_key_and_asks_for_what_must_be_there() -> None:
    """It is made of the same declarations; a section whose keys all have defaults may be left out."""
    found = json.loads(json.dumps(json_schema(Config)))
    assert found["required"] == ["state", "limit", "offsite", "watch"]
    limit = found["properties"]["limit"]
    assert limit["required"] == ["daily"]
    assert limit["properties"]["oversize"]["enum"] == ["hold", "spread", "slices"]
    assert found["properties"]["watch"]["items"]["properties"].keys() == SECTIONS["watch",].keys.keys()


# --- finding and reading the file -------------------------------------------------------------------------


def test_the_named_file_is_taken_before_any_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when it is not there: a mistyped --config must not run another configuration."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").touch()
    assert find(Path("other.toml")) == Path("other.toml")
    with pytest.raises(ConfigError, match=r"^other\.toml: does not exist; name another with --config FILE$"):
        load(find(Path("other.toml")))


def test_the_file_here_is_taken_before_that_of_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``./config.toml``, then ``/etc/tidegate/config.toml``, then a sentence that names both."""
    host = tmp_path / "etc" / "config.toml"
    assert [str(place) for place in loading.PLACES] == ["config.toml", "/etc/tidegate/config.toml"]
    monkeypatch.setattr(loading, "PLACES", (Path("config.toml"), host))
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError) as caught:
        find(None)
    assert str(caught.value) == (
        f"no configuration: neither {tmp_path}/config.toml nor {host} exists; name one with --config FILE"
    )
    host.parent.mkdir()
    host.touch()
    assert find(None) == host
    Path("config.toml").touch()
    assert find(None) == Path("config.toml")


def test_a_configuration_that_this_user_may_not_look_at_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is what a reader then says he may not read."""
    place = tmp_path / "etc" / "config.toml"
    place.parent.mkdir()
    open_the_way(tmp_path)
    place.parent.chmod(0)
    monkeypatch.setattr(loading, "PLACES", (place,))
    with as_nobody():
        assert find(None) == place


def test_relative_paths_start_at_the_folder_of_the_file(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command is run."""
    file = written(smallest())
    elsewhere = load(file)
    monkeypatch.chdir(file.parent)
    assert load(Path("config.toml")) == elsewhere


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    """Each in its own words."""
    with pytest.raises(ConfigError, match=f"^{tmp_path}: cannot be read: is a directory$"):
        load(tmp_path)
    closed = tmp_path / "closed"
    closed.touch(mode=0)
    open_the_way(closed)
    with as_nobody(), pytest.raises(ConfigError, match=f"^{closed}: cannot be read: permission denied$"):
        load(closed)


# --- the host's time zone ---------------------------------------------------------------------------------


@pytest.fixture
def localtime(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv("TZ", raising=False)
    return tmp_path / "localtime"


def database() -> Path:
    return next(folder for path in zoneinfo.TZPATH if (folder := Path(path)).is_dir())


def test_the_hosts_zone_is_the_one_that_localtime_links_to(localtime: Path) -> None:
    """So does every distribution."""
    localtime.symlink_to("../usr/share/zoneinfo/America/New_York")
    assert host_zone(localtime).key == "America/New_York"


def test_the_hosts_zone_may_be_a_copy(localtime: Path) -> None:
    """It has no name then, and the same rules."""
    localtime.write_bytes((database() / "Europe/Berlin").read_bytes())
    summer = datetime.datetime(2026, 7, 1, tzinfo=host_zone(localtime))
    assert summer.utcoffset() == datetime.timedelta(hours=2)


def test_the_variable_tz_counts_before_the_host(localtime: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As for every other program; what it cannot say is passed over."""
    localtime.symlink_to("/usr/share/zoneinfo/America/New_York")
    monkeypatch.setenv("TZ", ":Asia/Tokyo")
    assert host_zone(localtime).key == "Asia/Tokyo"
    monkeypatch.setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3")
    assert host_zone(localtime).key == "America/New_York"


@pytest.mark.parametrize("content", [None, b"", b"no zone"])
def test_a_host_that_says_no_zone_has_utc(localtime: Path, content: bytes | None) -> None:
    """A bare container, say."""
    if content is not None:
        localtime.write_bytes(content)
    assert host_zone(localtime).key == "UTC"


def test_a_host_without_any_zones_still_has_utc() -> None:
    """The default must load there too."""
    path = zoneinfo.TZPATH
    zoneinfo.ZoneInfo.clear_cache()
    zoneinfo.reset_tzpath(to=())
    try:
        zone = utc()
    finally:
        zoneinfo.reset_tzpath(to=path)
    assert datetime.datetime(2026, 7, 1, tzinfo=zone).utcoffset() == datetime.timedelta(0)
    assert zone.key == "UTC"
