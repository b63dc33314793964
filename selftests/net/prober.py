#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""prober.py HOST PORT STOP: a new connection every millisecond until the file STOP is there, each
asks peer.py's server who it is. Prints how many there were of each outcome, as JSON: "ok", or the
name of the error. What was under way when STOP appeared counts."""
import collections
import errno
import json
import os
import socket
import sys
import threading
import time

host, port, stop = sys.argv[1], int(sys.argv[2]), sys.argv[3]
outcomes = collections.Counter()
lock = threading.Lock()
room = threading.Semaphore(64)


def one():
    at = "connect "
    try:
        with socket.create_connection((host, port), timeout=5) as s:
            at = "answer "
            s.sendall(b"who\n")
            outcome = "ok" if s.recv(1000) else "EOF"
    except socket.timeout:
        outcome = at + "timeout"
    except OSError as e:
        outcome = errno.errorcode.get(e.errno, str(e))
    with lock:
        outcomes[outcome] += 1
    room.release()


threads = []
at = time.monotonic()
print("started", flush=True)
while not os.path.exists(stop):
    at = max(at + 0.001, time.monotonic() - 0.1)
    room.acquire()
    t = threading.Thread(target=one)
    t.start()
    threads = [x for x in threads if x.is_alive()] if len(threads) > 200 else threads
    threads.append(t)
    pause = at - time.monotonic()
    if pause > 0:
        time.sleep(pause)  # poll
for t in threads:
    t.join()
print(json.dumps(outcomes))
