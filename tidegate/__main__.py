"""``python -m tidegate``."""

from tidegate.cli.start import main

main()
