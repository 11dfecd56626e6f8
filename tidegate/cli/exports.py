"""``tidegate export-metrics``."""

from pathlib import Path

import click

from tidegate.cli.context import Session, pass_session
from tidegate.errors import UsageError


@click.command("export-metrics")
@click.option(
    "--output",
    type=click.Path(path_type=Path, allow_dash=True),
    help="Where to; - is stdout. Default: [exporters.textfile] path.",
)
@pass_session
def export_metrics(session: Session, *, output: Path | None) -> None:
    """Write the metrics as a textfile for node_exporter, equal to /metrics save the process's own."""
    from exporters import text, textfile
    from tidegate.clock import SystemClock

    config = session.config()
    target = output or config.exporters.textfile
    if target is None:
        raise UsageError("export-metrics: say --output FILE, or set [exporters.textfile] path")
    rendered = text.render(session.state(config), config, SystemClock().now().wall)
    if str(target) == "-":
        click.echo(rendered.decode(), nl=False)
    else:
        textfile.write(target, rendered)
