"""``tidegate export-metrics``."""

from pathlib import Path

import click

from core.errors import UsageError
from tidegate.cli.context import Session, pass_session


@click.command("export-metrics")
@click.option(
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Where to; - is stdout. Default: [exporters.textfile] path.",
)
@pass_session
def export_metrics(session: Session, *, output: Path | None) -> None:
    """Write the metrics as a textfile for node_exporter, equal to /metrics save the process's own."""
    from core.clock import SystemClock
    from exporters import exposition, textfile

    config = session.config()
    configured = config.exporters.textfile
    target = output or (None if configured is None else configured.path)
    if target is None:
        raise UsageError("export-metrics: say --output FILE, or set [exporters.textfile] path")
    rendered = exposition.render(session.state(config), config, SystemClock().now().wall)
    if str(target) == "-":
        click.echo(rendered.decode(), nl=False)
    else:
        textfile.write(target, rendered)
