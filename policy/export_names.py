"""The name of a dump in its export tree."""

from core.config.settings import Config
from core.markers.vm_name import export_name
from core.state.dumps import DumpRow


def export_name_of(config: Config, dump: DumpRow) -> str:
    """As the layout of its watch folder asks."""
    return export_name(
        config.watch(dump.watch).layout,
        vm=dump.vm or "",
        path=dump.path,
        backup_set=dump.backup_set,
        written=dump.dump_time,
    )
