"""What a shell is told when somebody presses Tab: VMs, backup sets, watch folders.

Nothing here may complain, hang or take long: whatever cannot be had at once is not offered. The configuration is read
and not checked, since that takes longer than a hand waits.
"""

import re
from pathlib import Path
from typing import Any

import click

from core.errors import TidegateError

#: Of others a shell would make something else: blanks, quotes, $( ).
_PLAIN = re.compile(r"[\w.+@%-]+")


def vms(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Those of the state, by its path in the configuration."""
    from core.state.vms import starting_with

    path = _table(_document(ctx), "state").get("path")
    return _plain(starting_with(_file(ctx).absolute().parent / path, incomplete)) if isinstance(path, str) else []


def backup_sets(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Those of the configuration."""
    return _plain(name for name in _table(_document(ctx), "backup_sets") if name.startswith(incomplete))


def watch_folders(ctx: click.Context, _param: click.Parameter, incomplete: str) -> list[str]:
    """Each by its name, or by the last part of its path."""
    found = _document(ctx).get("watch", [])
    folders = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    names = [str(one.get("name") or Path(str(one.get("path", ""))).name) for one in folders]
    return _plain(name for name in names if name.startswith(incomplete))


def _plain(names: Any) -> list[str]:
    return [name for name in names if _PLAIN.fullmatch(name)]


def _file(ctx: click.Context) -> Path:
    from core.config.load import find

    return find(ctx.find_root().params.get("config_file"))


def _document(ctx: click.Context) -> dict[str, Any]:
    import tomli

    try:
        return tomli.loads(_file(ctx).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError, TidegateError):  # not TOML is a ValueError
        return {}


def _table(document: dict[str, Any], name: str) -> dict[str, Any]:
    table = document.get(name)
    return table if isinstance(table, dict) else {}
