"""A guest without an operating system: its firmware halts, and this drives its hardware from outside, by qtest.

All that it has is the device of the guest agent's channel (virtio-serial, the legacy interface of virtio 0.9), and an
agent that answers as it is told to. libvirt and QEMU see no difference.
"""

import json
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

#: A BIOS that does nothing: at the reset vector stands `cli`, `hlt`, and a jump back to that.
FIRMWARE = bytes(0xFFF0) + b"\xfa\xf4\xeb\xfd" + bytes(12)
#: The slot of the device in its XML, and where the guest would put its registers.
SLOT, _IO = 5, 0xC000
_MULTIPORT = 1 << 1
_DEVICE_READY, _PORT_READY, _PORT_OPEN = 0, 3, 6
_CONTROL_IN, _CONTROL_OUT, _PORT_IN, _PORT_OUT = 2, 3, 4, 5
_BUFFER_BYTES = 4096
_POLL_SECONDS = 0.01

Answer = Callable[[dict[str, Any]], object]


class Machine:
    """Ports and memory of a VM that was started with ``-qtest unix:PATH,server=on``."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(60)
        self._socket.connect(str(path))
        self._told = self._socket.makefile("r")

    def do(self, *words: object) -> str:
        """What it answers to one command."""
        self._socket.sendall((" ".join(map(str, words)) + "\n").encode())
        status, _, value = self._told.readline().rstrip().partition(" ")
        assert status == "OK", (words, status, value)
        return value

    def write(self, address: int, data: bytes) -> None:
        self.do("write", hex(address), len(data), f"0x{data.hex()}")

    def read(self, address: int, length: int) -> bytes:
        return bytes.fromhex(self.do("read", hex(address), length)[2:])

    def close(self) -> None:
        self._told.close()
        self._socket.close()


class Queue:
    """A virtqueue at ``base``, with a buffer for each of its first descriptors behind it."""

    def __init__(self, machine: Machine, number: int, base: int) -> None:
        self._machine, self._number, self._base = machine, number, base
        machine.do("outw", hex(_IO + 14), number)
        self._size = int(machine.do("inw", hex(_IO + 12)), 16)
        machine.do("outl", hex(_IO + 8), base >> 12)
        self._used = base + ((18 * self._size + 6 + 4095) & ~4095)
        self._given = self._taken = 0

    def give(self, data: bytes | None = None) -> None:
        """Hands a buffer to the device: with these bytes, or for it to fill."""
        slot = self._given % 8
        buffer = self._base + 0x10000 + slot * _BUFFER_BYTES
        if data is not None:
            self._machine.write(buffer, data)
        length, flags = (_BUFFER_BYTES, 2) if data is None else (len(data), 0)
        self._machine.write(self._base + 16 * slot, struct.pack("<QIHH", buffer, length, flags, 0))
        available = self._base + 16 * self._size
        self._machine.write(available + 4 + 2 * (self._given % self._size), struct.pack("<H", slot))
        self._given += 1
        self._machine.write(available + 2, struct.pack("<H", self._given & 0xFFFF))
        self._machine.do("outw", hex(_IO + 16), self._number)

    def take(self) -> bytes | None:
        """What the device has filled; None while it has not."""
        [index] = struct.unpack("<H", self._machine.read(self._used + 2, 2))
        if index == self._taken & 0xFFFF:
            return None
        entry = self._machine.read(self._used + 4 + 8 * (self._taken % self._size), 8)
        slot, length = struct.unpack("<II", entry)
        self._taken += 1
        return self._machine.read(self._base + 0x10000 + slot * _BUFFER_BYTES, length)


class Agent(threading.Thread):
    """The guest's agent. ``answer`` is given each request and returns what is answered; None: it keeps silent."""

    def __init__(self, path: Path, answer: Answer) -> None:
        super().__init__(daemon=True)
        self.asked: deque[str] = deque()
        self._answer = answer
        self._ended = threading.Event()
        self._machine = Machine(path)
        self._input, self._output = self._open_port()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self.join()
        self._machine.close()

    def run(self) -> None:
        """Until the test ends."""
        heard = b""
        while not self._ended.wait(_POLL_SECONDS):
            while (part := self._input.take()) is not None:
                self._input.give()
                heard += part
            *lines, heard = heard.split(b"\n")
            for line in lines:
                self._hear(json.loads(line.lstrip(b"\xff")))

    def _hear(self, request: dict[str, Any]) -> None:
        self.asked.append(request["execute"])
        answer = self._answer(request)
        if answer is not None:
            self._output.give(json.dumps({"return": answer}).encode() + b"\n")

    def _open_port(self) -> tuple[Queue, Queue]:
        """What the guest's kernel does for the first port of the device, and then the agent."""
        self._configure(0x10, _IO | 1)
        self._configure(0x04, 5)  # let it have its ports, and read memory
        do = self._machine.do
        for status in (0, 1, 3):
            do("outb", hex(_IO + 18), status)
        do("outl", hex(_IO + 4), _MULTIPORT)
        numbers = (_CONTROL_IN, _CONTROL_OUT, _PORT_IN, _PORT_OUT)
        queues = [Queue(self._machine, number, 0x100000 * number) for number in numbers]
        do("outb", hex(_IO + 18), 7)
        for queue in (queues[0], queues[2]):
            for _ in range(8):
                queue.give()
        for event in (_DEVICE_READY, _PORT_READY, _PORT_OPEN):
            queues[1].give(struct.pack("<IHH", 1, event, 1))
        return queues[2], queues[3]

    def _configure(self, register: int, value: int) -> None:
        self._machine.do("outl", "0xcf8", hex(1 << 31 | SLOT << 11 | register))
        self._machine.do("outl", "0xcfc", hex(value))


def answering(request: dict[str, Any]) -> object:
    """An agent that is well: two filesystems."""
    return request["arguments"]["id"] if request["execute"] == "guest-sync" else 2


def hanging(_: dict[str, Any]) -> object:
    """One that has opened its channel and answers nothing."""
    return None


def stuck_in_freezing(request: dict[str, Any]) -> object:
    """One whose filesystems do not come to rest: it answers all but that."""
    return None if request["execute"] == "guest-fsfreeze-freeze" else answering(request)
