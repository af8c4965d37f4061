"""What it costs to hand 64-byte records from one Python process to another by the usual means.

`python transport.py RECORDS` prints {"name": ns a record}: from just before the first send to the last one read, the
reader unpacking each record's eight words.
"""

from __future__ import annotations

import json
import multiprocessing
import struct
import sys
import tempfile
import time
from typing import Any

import zmq

SPAWN = multiprocessing.get_context("spawn")  # a fork would take the socket library's threads along
RECORD = struct.Struct("<8q")


def _fill(queue: Any, records: int) -> None:
    began = time.perf_counter_ns()
    for i in range(records):
        queue.put(RECORD.pack(i, began, 0, 0, 1, 2, 3, 4))


def by_queue(records: int) -> float:
    """multiprocessing.Queue."""
    queue: Any = SPAWN.Queue()
    writer = SPAWN.Process(target=_fill, args=(queue, records), daemon=True)
    writer.start()
    began = RECORD.unpack(queue.get())[1]
    for i in range(1, records):
        assert RECORD.unpack(queue.get())[0] == i
    took = (time.perf_counter_ns() - began) / records
    writer.join()
    return took


def _push(address: str, records: int, read: Any) -> None:
    with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
        socket.setsockopt(zmq.SNDHWM, 0)
        socket.connect(address)
        began = time.perf_counter_ns()
        for i in range(records):
            socket.send(RECORD.pack(i, began, 0, 0, 1, 2, 3, 4))
        read.wait()  # closing earlier loses what is still on its way


def by_zeromq(records: int) -> float:
    """ZeroMQ PUSH to PULL over a local socket."""
    with tempfile.TemporaryDirectory() as made, zmq.Context() as context, context.socket(zmq.PULL) as socket:
        address = f"ipc://{made}/z"
        socket.bind(address)
        writer = SPAWN.Process(target=_push, args=(address, records, read := SPAWN.Event()), daemon=True)
        writer.start()
        began = RECORD.unpack(socket.recv())[1]
        for i in range(1, records):
            assert RECORD.unpack(socket.recv())[0] == i
        took = (time.perf_counter_ns() - began) / records
        read.set()
        writer.join()
        return took


if __name__ == "__main__":
    n = int(sys.argv[1])
    print(json.dumps({"multiprocessing.Queue": by_queue(n), "ZeroMQ": by_zeromq(n)}))
