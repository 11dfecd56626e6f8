"""Mistakes that no key shows alone: what keys say to each other, and what the folders say to them.

They are looked for in whatever part of the document is right by itself, so that one wrong key
does not hide what else is wrong.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from core.config import build, tables
from core.config.dump_checks import dump_problems
from core.config.errors import Place, Problem
from core.config.settings import WatchFolder
from core.enums import CONFIRM_MODES, Evidence, Occasion, Oversize, Storage
from core.preflight.folders import Watches, folder_problems, read_problems

#: Keys of a ``[[watch]]`` without which its folders cannot be judged.
_TELLING = {("path",), ("name",), ("export",), ("recursive",)}
_CONFIRM: Place = ("offsite", "confirm")
_NAMES, _AFTER = "quiet_names", "quiet_after"


def between_keys(document: dict[str, Any], base: Path, *, preflight: bool) -> list[Problem]:
    """Everything that can be said of the document beyond its single keys."""
    watches = _good_watches(document, base)
    problems = [*_names(watches), *_quiet(document), *_confirm(document, watches), *_pushed(document, watches)]
    problems += _sliced(document)
    problems += dump_problems(document, watches, base)
    problems += _pinged(document)
    if preflight:
        faults = list(folder_problems(watches))
        problems += faults
        mode = _confirm_mode(document)
        if mode is not None and mode.by_access_time:
            faulty = {fault.place[1] for fault in faults}
            problems += read_problems(mode, [watch for index, watch in watches.items() if index not in faulty])
    return problems


def _good_watches(document: dict[str, Any], base: Path) -> Watches:
    """The watch folders that are right by themselves, by their place in the file."""
    written = document.get("watch")
    good: dict[int, WatchFolder] = {}
    for index, each in enumerate(written if isinstance(written, list) else []):
        if (table := _as_far_as_it_is_right(each)) is not None:
            good[index] = build.watch_folder(table, base, Storage.MIRROR)
    return good


def _as_far_as_it_is_right(watch: object) -> tables.WatchTable | None:
    """A ``[[watch]]`` less its wrong keys, which are told elsewhere; None if the rest says too little."""
    try:
        return tables.WatchTable.model_validate(watch)
    except ValidationError as error:
        wrong = {detail["loc"][:1] for detail in error.errors()}
    if not isinstance(watch, dict) or wrong & _TELLING:
        return None
    return tables.WatchTable.model_validate({key: watch[key] for key in watch if (key,) not in wrong})


def _names(watches: Watches) -> Iterator[Problem]:
    seen: set[str] = set()
    for index, watch in watches.items():
        if not watch.name:
            yield Problem(("watch", index, "name"), f'missing: {watch.path} gives none; set name = "dumps"')
        elif watch.name in seen:
            yield Problem(
                ("watch", index, "name"),
                f'another watch folder is named "{watch.name}" too; set `name` in one of the two',
            )
        seen.add(watch.name)


def _quiet(document: dict[str, Any]) -> Iterator[Problem]:
    """Names and the time that they are left alone say one thing together."""
    written = document.get("watch")
    for index, each in enumerate(written if isinstance(written, list) else []):
        said = {key for key in (_NAMES, _AFTER) if isinstance(each, dict) and key in each}
        if said == {_NAMES}:
            yield Problem(("watch", index, _AFTER), 'missing: say how long complete dumps have rested, like "15m"')
        elif said == {_AFTER}:
            yield Problem(("watch", index, _NAMES), "missing: say which names are dumps, like '\\.qcow2$'")
        elif said and "signals" in each:
            yield Problem(("watch", index, "signals"), f"{_NAMES} takes its place; leave one of the two out")


def _confirm_mode(document: dict[str, Any]) -> Evidence | None:
    """None where something else is written."""
    default = Evidence.REPORT if "sync" in document else Evidence.READ
    written = _word(document, "offsite", "confirm", default)
    return next((mode for mode in CONFIRM_MODES if mode == written), None)


def _confirm(document: dict[str, Any], watches: Watches) -> Iterator[Problem]:
    """What the confirm mode cannot work with."""
    mode = _confirm_mode(document)
    for one in mode.excludes if mode is not None else ():
        if one.section == "watch":
            faulty = [index for index, watch in watches.items() if getattr(watch, one.key) == one.word]
            yield from (Problem(("watch", index, one.key), one.sentence) for index in faulty)
        elif _word(document, one.section, one.key, one.word if one.is_default else "") == one.word:
            yield Problem(_CONFIRM, one.sentence)


def _pushed(document: dict[str, Any], watches: Watches) -> Iterator[Problem]:
    """Who pushes knows what arrived; and his own reads are no evidence of anything."""
    sync = document.get("sync")
    if not isinstance(sync, dict):
        return
    if _word(document, "offsite", "confirm", Evidence.REPORT) != Evidence.REPORT:
        yield Problem(
            _CONFIRM, '`tidegate sync` reports by itself what arrived; leave `confirm` out, or set it to "report"'
        )
    destination = sync.get("destination")
    if len(watches) > 1 and isinstance(destination, str) and "{watch}" not in destination:
        yield Problem(
            ("sync", "destination"),
            f"{destination!r} would get the export trees of {len(watches)} watch folders, one over the other; "
            "write {watch} into it, which stands for the folder's name",
        )


def _pinged(document: dict[str, Any]) -> Iterator[Problem]:
    notify = document.get("notify")
    for occasion in Occasion:
        table = notify.get(occasion) if isinstance(notify, dict) else None
        if isinstance(table, dict) and len({"url", "url_file"} & table.keys()) != 1:
            yield Problem(
                ("notify", occasion.value), "say who is pinged, by one of the two: `url`, or `url_file` that holds it"
            )


def _sliced(document: dict[str, Any]) -> Iterator[Problem]:
    """Who pulls takes a dump whole or not at all."""
    if _word(document, "limit", "oversize", Oversize.HOLD) == Oversize.SLICES and "sync" not in document:
        yield Problem(
            ("limit", "oversize"),
            '"slices" leave only where this host pushes; configure [sync], or write "hold" or "spread"',
        )


def _word(document: dict[str, Any], section: str, key: str, default: str) -> object:
    table = document.get(section)
    return table.get(key, default) if isinstance(table, dict) else default
