"""``python -m tools.pictures FOLDER``: draws the dashboard over the life that `make life` has lived in FOLDER.

What a panel draws is what its queries find in a real Prometheus; how it looks is this program's own: a sketch of the
dashboard, and no picture of Grafana.
"""

import sys
import tempfile
import time
from pathlib import Path

from tests.deploy import shown
from tests.host import ROOT
from tools.pictures.colours import THEMES
from tools.pictures.panel_rows import Drawn, pages

FOLDER = ROOT / "docs" / "dashboard"
#: Between two scrapes of such a life. When the last is older, Prometheus has forgotten it and nothing fires.
HOURS = 2


def main() -> int:
    """A file for each row and theme."""
    metrics = Path(sys.argv[1]) / "metrics.openmetrics"
    if not metrics.exists() or time.time() - metrics.stat().st_mtime > HOURS * 3600:
        print(f"pictures: {metrics} is not there or older than two hours: run `make life` first", file=sys.stderr)
        return 2
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, shown.month(Path(folder), metrics, hours=HOURS) as prometheus:
        now = time.time()
        drawn = [Drawn.of(panel, prometheus, now) for panel in shown.dashboard()["panels"]]
    for name, theme in THEMES.items():
        for question, picture in pages(drawn, theme, now):
            (FOLDER / f"{question}-{name}.svg").write_text(picture)
    return 0


if __name__ == "__main__":
    sys.exit(main())
