"""The hypervisor's VMs beside those that are dumped: `check` names those in no backup, others record them."""

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING

from core.errors import FaultError
from core.filenames import printable

if TYPE_CHECKING:
    from core.clock import Clock
    from core.config.settings import Config
    from core.state.database import State

log = logging.getLogger("tidegate")
_NAMED = 20


def without_backup(config: "Config", state: "State", found: set[str]) -> list[str]:
    """Those of ``found`` that are in no backup set, were never dumped, are not retired and not to be ignored."""
    from core.state import vms

    assert config.hypervisor is not None  # noqa: S101 - whoever asks has one
    with state.read() as connection:
        known = vms.by_names(connection, found)
    dumped = {name for name, row in known.items() if row.last_dump_time is not None or row.retired_at is not None}
    in_sets = {vm for one in config.backup_sets.values() for vm in one.vms}
    return sorted(found - dumped - in_sets - set(config.hypervisor.ignore))


def sentences(config: "Config", state: "State") -> Iterator[str]:
    """For `check`: asks, and writes nothing."""
    from dumps.hypervisor import machines

    if config.hypervisor is None:
        return
    try:
        found = machines(config.hypervisor.command)
    except FaultError as error:
        yield str(error)
        return
    if missing := without_backup(config, state, found):
        named = ", ".join(map(printable, missing[:_NAMED]))
        more = f" and {len(missing) - _NAMED} more" if len(missing) > _NAMED else ""
        yield (
            f"in no backup: {named}{more}; list them in `vms` of a backup set, "
            "or in [hypervisor] ignore if they need none"
        )


def record(config: "Config", state: "State", clock: "Clock") -> None:
    """Asks, and writes down what was found; an answer that does not come is logged, and what was known stays."""
    from core.state import vms
    from dumps.hypervisor import machines

    if config.hypervisor is None:
        return
    try:
        found = machines(config.hypervisor.command)
    except FaultError as error:
        log.warning("%s", error)
        return
    missing = without_backup(config, state, found)
    with state.write() as connection:
        vms.record_hypervisor_look(connection, len(found), missing, clock.now().wall)
