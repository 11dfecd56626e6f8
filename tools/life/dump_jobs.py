"""The dump jobs of a host: files of the sizes of dumps that take no room, their markers, and what is kept of them."""

import datetime
import heapq
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from core.units import format_time
from tests.host import Host
from tools.life.fleet import Vm

#: How fast a dump is written.
_BYTES_A_SECOND = 150e6
_KEPT = 3


class Job(NamedTuple):
    """One dump, and when it ends."""

    finished: float
    started: float
    vm: Vm
    name: str
    size: int
    fails: bool


@dataclass
class DumpJobs:
    """Those of ``vms``, of which some ``fails``. A dump is a hole of its size: no byte of it is on the disk."""

    host: Host
    vms: Sequence[Vm]
    dice: random.Random
    failing: float = 0.015
    ended: set[str] = field(default_factory=set)  # VMs that are in no schedule any more
    shrinking: set[str] = field(default_factory=set)
    broken: set[str] = field(default_factory=set)  # all of whose dumps fail
    _jobs: list[Job] = field(default_factory=list)

    def begin_day(self, midnight: datetime.datetime, days_left: int) -> None:
        """Plans the dumps of this day."""
        for vm in self.vms:
            if vm.is_due(days_left) and vm.name not in self.ended:
                heapq.heappush(self._jobs, self._job(vm, midnight, days_left))

    def go_on(self, until: float) -> None:
        """Makes what is finished by then."""
        while self._jobs and self._jobs[0].finished <= until:
            self._make(heapq.heappop(self._jobs))

    def write_over(self, name: str) -> None:
        """A script that opens an old dump for writing, as many do."""
        os.truncate(self.host.dumps / name, 4096)

    def _job(self, vm: Vm, midnight: datetime.datetime, days_left: int) -> Job:
        size = vm.size_on(days_left, self.dice) // (12 if vm.name in self.shrinking else 1)
        started = round(midnight.timestamp() + vm.hour * 3600)
        finished = started + round(60 + size / _BYTES_A_SECOND)
        fails = vm.name in self.broken or self.dice.random() < self.failing
        return Job(finished, started, vm, f"{vm.name}-{midnight:%Y-%m-%d}.qcow2", size, fails)

    def _make(self, job: Job) -> None:
        body = {"vm": job.vm.name, "started": format_time(job.started), "finished": format_time(job.finished)}
        if job.fails:
            error = {"error": "qemu-img: error while reading block 73400320: Input/output error", "exit_status": 1}
            marker = self.host.mark(job.name, "failed", **body, **error)
        else:
            self._rotate(job.vm.name)
            self._write(job)
            marker = self.host.mark(job.name, **body)
        os.utime(marker, (job.finished, job.finished))

    def _write(self, job: Job) -> None:
        path = self.host.dumps / job.name
        aside = path.with_name(f"{job.name}.part")
        with aside.open("xb") as file:
            file.truncate(job.size)
        os.utime(aside, (job.finished, job.finished))
        aside.rename(path)

    def _rotate(self, vm: str) -> None:
        for old in sorted(self._dumps_of(vm))[: 1 - _KEPT]:
            old.unlink()
            old.with_name(f"{old.name}.done").unlink(missing_ok=True)

    def _dumps_of(self, vm: str) -> Iterator[Path]:
        return self.host.dumps.glob(f"{vm}-????-??-??.qcow2")
