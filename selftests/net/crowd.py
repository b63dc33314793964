#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Many connections that are open at once, and when each of them ends, for the scenarios.

    crowd.py serve PORT            a server on all addresses that sends everything back
    crowd.py hold COUNT HOST PORT  COUNT connections; says "open", then answers lines of stdin:
        echo     a byte goes there and back on each that is open: "echo N" such connections
        count    "open=N ended=M first=T last=T", T: when ends were seen, ns of CLOCK_MONOTONIC
    crowd.py replace NEW PATH      renames NEW to PATH; says when, ns of CLOCK_MONOTONIC
"""
import os
import select
import socket
import sys
import threading
import time

PATIENCE = 30  # seconds


def say(text):
    os.write(1, text.encode() + b"\n")


def serve(port):
    ready, sockets = select.epoll(), {}
    listener = socket.create_server(("::", int(port)), family=socket.AF_INET6, backlog=4096,
                                    dualstack_ipv6=True)
    listener.setblocking(False)
    ready.register(listener, select.EPOLLIN)
    while True:
        for fd, _ in ready.poll():
            if fd == listener.fileno():
                try:
                    s, _ = listener.accept()
                except OSError:
                    continue
                s.setblocking(False)
                sockets[s.fileno()] = s
                ready.register(s, select.EPOLLIN)
                continue
            try:
                data = sockets[fd].recv(4096)
                if data:
                    sockets[fd].send(data)
            except OSError:
                data = b""
            if not data:
                sockets.pop(fd).close()


class Crowd:
    def __init__(self, count, host, port):
        self.ready, self.sockets = select.epoll(), {}
        self.ended, self.first, self.last = 0, 0, 0
        self.heard = set()
        self.lock = threading.Lock()
        for _ in range(count):
            s = socket.create_connection((host, port), timeout=PATIENCE)
            s.setblocking(False)
            self.sockets[s.fileno()] = s
            self.ready.register(s, select.EPOLLIN)

    def on_event(self, fd, now):
        try:
            data = self.sockets[fd].recv(64)
        except OSError:
            data = b""
        if data:
            self.heard.add(fd)
            return
        self.ended += 1
        self.first = self.first or now
        self.last = now
        self.sockets.pop(fd).close()

    def run(self):
        while True:
            events = self.ready.poll(maxevents=1000)
            now = time.monotonic_ns()
            with self.lock:
                for fd, _ in events:
                    self.on_event(fd, now)

    def echo(self):
        with self.lock:
            self.heard.clear()
            for s in list(self.sockets.values()):
                try:
                    s.send(b"x")
                except OSError:
                    pass  # the event says so, too
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            with self.lock:
                if len(self.heard) >= len(self.sockets):
                    break
            time.sleep(0.01)  # poll
        say(f"echo {len(self.heard)}")

    def count(self):
        with self.lock:
            say(f"open={len(self.sockets)} ended={self.ended} first={self.first} "
                f"last={self.last}")


def hold(count, host, port):
    crowd = Crowd(int(count), host, int(port))
    threading.Thread(target=crowd.run, daemon=True).start()
    say("open")
    for line in sys.stdin:
        {"echo": crowd.echo, "count": crowd.count}[line.strip()]()


def replace(new, path):
    say(str(time.monotonic_ns()))
    os.rename(new, path)


globals()[sys.argv[1]](*sys.argv[2:])
