"""Publishes or withdraws what standard input asks for, and is killed at the n-th trace point.

Usage: killed.py TREE N. Exit status 0 when there are fewer points.
"""

import os
import pickle
import signal
import sys
from pathlib import Path

from core import failpoints
from policy.export import ExportTree

left = int(sys.argv[2])


def kill_at_the_last(_: str) -> None:
    global left  # noqa: PLW0603 - a script
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)


failpoints.hook = kill_at_the_last
tree = ExportTree(Path(sys.argv[1]))
requests, links = pickle.load(sys.stdin.buffer)
tree.publish(requests)
tree.withdraw_all(links)
