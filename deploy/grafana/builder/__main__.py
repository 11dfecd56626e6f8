"""``python -m deploy.grafana.builder``: writes tidegate.json anew."""

from pathlib import Path

from deploy.grafana.builder.dashboard import text

FILE = Path(__file__).parents[1] / "tidegate.json"

if __name__ == "__main__":
    FILE.write_text(text())
