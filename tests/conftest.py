"""What all tests stand on."""

import os
import signal
import sys
from pathlib import Path

from hypothesis import settings

ROOT = Path(__file__).resolve().parent.parent

# The programs that tests start by name: `tidegate` of the environment that runs the tests, and Prometheus' own
# where `make test` put them because the machine has none.
os.environ["PATH"] = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ["PATH"], str(ROOT / "build" / "bin")]
)

# What an example costs depends on what else the machine does; a test that hangs meets pytest's timeout.
settings.register_profile("tidegate", deadline=None, print_blob=True)
settings.load_profile("tidegate")

# What is ignored when the tests start (nohup, a job in the background) every program they start would ignore too; what
# is handled is not inherited.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)
