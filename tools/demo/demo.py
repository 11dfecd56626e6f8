#!/usr/bin/env python3
"""`make demo`: the main job on real input, in under a minute. See ``play``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # also where Tidegate is not installed

from tools.demo.ten_days import main

if __name__ == "__main__":
    sys.exit(main())
