#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Small TCP programs for the scenarios of the relay.

  relay.py serve              a server for all ports of PORTS; says on stdout what it saw
  relay.py FUNCTION ARG...    a client, see the functions with a docstring below

A client ends with 0 if what its docstring says is true. Everything works over IPv4 and IPv6;
servers see plain addresses (no ::ffff:).
"""
import errno
import hashlib
import os
import select
import socket
import struct
import sys
import threading
import time

BLOCK = 1 << 18
PORTS = {}
gates = {}
PATIENCE = 30  # seconds without any progress are a failure


def say(*words):
    os.write(1, (" ".join(str(w) for w in words) + "\n").encode())


def port(number):
    def take(function):
        PORTS[number] = function
        return function
    return take


def plain(address):
    return address[7:] if address.startswith("::ffff:") else address


def reset(s):
    s.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    s.close()


def line(s):
    text = b""
    while not text.endswith(b"\n"):
        part = s.recv(1)
        if not part:
            break
        text += part
    return text.decode().strip()


def drain(s):
    """Reads to the end: (bytes, sha256)."""
    digest, n, view = hashlib.sha256(), 0, memoryview(bytearray(BLOCK))
    while True:
        got = s.recv_into(view)
        if got == 0:
            return n, digest.hexdigest()
        digest.update(view[:got])
        n += got


# ---- server ----

@port(9001)
def sink(s, peer):
    """Reads to the end, then answers with length and digest."""
    s.sendall("{} {}\n".format(*drain(s)).encode())


@port(9002)
def source(s, peer):
    """Reads the name of a file, sends it."""
    with open(line(s), "rb") as f:
        s.sendfile(f)


@port(9003)
def echo(s, peer):
    while True:
        data = s.recv(BLOCK)
        if not data:
            return
        s.sendall(data)


@port(9004)
def hello(s, peer):
    """Speaks first: who the client is, as this side sees it."""
    s.sendall("you are {} {}\n".format(plain(peer[0]), peer[1]).encode())
    drain(s)


@port(9005)
def closed(s, peer):
    """Closes at once."""


@port(9006)
def rst(s, peer):
    """Aborts after one line."""
    line(s)
    reset(s)


@port(9007)
def farewell(s, peer):
    """Ends its own side first, then reads to the end."""
    s.sendall(b"farewell\n")
    s.shutdown(socket.SHUT_WR)
    say("farewell", *drain(s))


@port(9008)
def fate(s, peer):
    """Says how the connection ended; the first line is its name."""
    name = line(s)
    s.sendall(b"ready\n")
    try:
        n, _ = drain(s)
        say("fate", name, "eof", n)
    except OSError as e:
        say("fate", name, errno.errorcode[e.errno])


@port(9009)
def deaf(s, peer):
    """Does not read until somebody names it on port 9010."""
    name = line(s)
    gate = gates.setdefault(name, threading.Event())
    s.sendall(b"deaf\n")
    gate.wait()
    s.sendall("{} {}\n".format(*drain(s)).encode())


@port(9010)
def wake(s, peer):
    gates.setdefault(line(s), threading.Event()).set()
    s.sendall(b"done\n")


@port(9011)
def last_words(s, peer):
    """Answers and closes with input unread: its kernel sends RST behind the answer."""
    s.recv(1)
    s.sendall(b"last words\n")


def serve_one(function, s, peer):
    try:
        with s:
            function(s, peer)
    except OSError as e:
        say(function.__name__, "error", errno.errorcode.get(e.errno, e))


def serve():
    """All ports, a thread per connection; those of HOLD_PORT and SHORT_PORT by epoll."""
    poll = select.poll()
    listeners = {}
    for number in PORTS:
        listener = socket.create_server(("::", number), family=socket.AF_INET6, backlog=1024,
                                        dualstack_ipv6=True)
        poll.register(listener, select.POLLIN)
        listeners[listener.fileno()] = (listener, PORTS[number])
    threading.Thread(target=serve_many, daemon=True).start()
    while True:
        for fd, _ in poll.poll():
            listener, function = listeners[fd]
            s, peer = listener.accept()
            threading.Thread(target=serve_one, args=(function, s, peer), daemon=True).start()


HOLD_PORT = 9100   # echoes until the end
SHORT_PORT = 9101  # echoes once and closes


def serve_many():
    ready = select.epoll()
    listeners, open_now = {}, {}
    for number in HOLD_PORT, SHORT_PORT:
        listener = socket.create_server(("::", number), family=socket.AF_INET6, backlog=4096,
                                        dualstack_ipv6=True)
        listener.setblocking(False)
        ready.register(listener, select.EPOLLIN)
        listeners[listener.fileno()] = (listener, number)
    while True:
        for fd, _ in ready.poll():
            if fd in listeners:
                accept_all(ready, open_now, *listeners[fd])
                continue
            s, number = open_now[fd]
            try:
                data = s.recv(4096)
                if data:
                    s.send(data)
            except OSError as e:
                say("many error", errno.errorcode[e.errno])
                data = b""
            if not data or number == SHORT_PORT:
                del open_now[fd]
                s.close()


def accept_all(ready, open_now, listener, number):
    while True:
        try:
            s, _ = listener.accept()
        except BlockingIOError:
            return
        s.setblocking(False)
        open_now[s.fileno()] = (s, number)
        ready.register(s, select.EPOLLIN)


# ---- clients ----

def dial(host, number):
    s = socket.create_connection((host, int(number)), timeout=PATIENCE)
    assert plain(s.getpeername()[0]) == host, "getpeername is not what was dialled"
    assert s.getpeername()[1] == int(number)
    return s


def kernel():
    return tuple(int(x) for x in os.uname().release.split(".")[:2])


def expect(got, want):
    if got != want:
        raise AssertionError("{!r} instead of {!r}".format(got, want))


def expect_reset(s):
    try:
        got = s.recv(1)
    except ConnectionResetError:
        return
    raise AssertionError("{!r} instead of a reset".format(got))


def ends(host, *only):
    """Every way to end a connection gives what TCP without a relay gives."""
    failed = 0
    for name, function in sorted(ENDS.items()):
        if only and name not in only:
            continue
        try:
            function(host)
        except (AssertionError, OSError) as e:
            print("{} to {}: {!r}".format(name, host, e))
            failed = 1
    return failed


def rounds(host, count, *only):
    """The same COUNT times: what depends on the order of packets and events shows up."""
    for _ in range(int(count)):
        if ends(host, *only):
            return 1
    return 0


def end_client_shuts_first(host):
    with dial(host, 9001) as s:
        s.sendall(b"x" * 100000)
        s.shutdown(socket.SHUT_WR)
        expect(line(s), "100000 " + hashlib.sha256(b"x" * 100000).hexdigest())
        expect(s.recv(1), b"")


def end_server_shuts_first(host):
    with dial(host, 9007) as s:
        expect(line(s), "farewell")
        expect(s.recv(1), b"")
        s.sendall(b"y" * 300000)
        s.shutdown(socket.SHUT_WR)
        # The server has read all of it, or this would be a reset.
        expect(s.recv(1), b"")


def end_nothing_sent(host):
    with dial(host, 9001) as s:
        s.shutdown(socket.SHUT_WR)
        expect(line(s), "0 " + hashlib.sha256(b"").hexdigest())
        expect(s.recv(1), b"")


def end_both_at_once(host):
    with dial(host, 9003) as s:
        s.shutdown(socket.SHUT_WR)
        expect(s.recv(1), b"")


def end_closed_at_once(host):
    with dial(host, 9005) as s:
        expect(s.recv(1), b"")


def end_server_speaks_first(host):
    with dial(host, 9004) as s:
        expect(line(s).split()[2], plain(s.getsockname()[0]))


def end_server_resets(host):
    with dial(host, 9006) as s:
        s.sendall(b"now\n")
        expect_reset(s)


def end_words_before_a_reset(host):
    with dial(host, 9011) as s:
        s.sendall(b"z" * 1000)
        # The answer is in the queue before the reset; Linux hands it out first.
        poll = select.poll()
        poll.register(s, 0)
        poll.poll(PATIENCE * 1000)
        s.setblocking(True)
        expect(s.recv(100), b"last words\n")
        expect_reset(s)


def end_words_during_an_upload(host):
    # Older kernels lose about one of a hundred such words by themselves, see docs/kernels.md.
    tries = 3 if kernel() < (6, 5) else 1
    while not words_during_an_upload(host):
        tries -= 1
        if tries == 0:
            raise AssertionError("the last words are missing")


def words_during_an_upload(host):
    with dial(host, 9011) as s:
        try:
            for _ in range(1000):
                s.sendall(b"z" * 100000)
            raise AssertionError("nothing stopped the upload")
        except (ConnectionResetError, BrokenPipeError):
            pass
        said = s.recv(100)
    if said not in (b"last words\n", b""):
        raise AssertionError("{!r}".format(said))
    return said != b""


ENDS = {k[len("end_"):]: v for k, v in list(globals().items()) if k.startswith("end_")}


def touch(host):
    """Dials every port once."""
    for number in [*PORTS, HOLD_PORT, SHORT_PORT]:
        dial(host, number).close()


def abort(host, name):
    """Resets a connection; the server says "fate NAME ECONNRESET"."""
    s = dial(host, 9008)
    s.sendall((name + "\n").encode())
    expect(line(s), "ready")
    reset(s)


def silence(host, name, go):
    """Sends nothing until the file GO exists, then gets an echo."""
    with dial(host, 9003) as s:
        say("silent", name)
        while not os.path.exists(go):
            time.sleep(0.05)  # poll
        s.sendall(b"still here\n")
        expect(line(s), "still here")


def refused(host, number):
    """The connection ends with an error, at once or at the first read."""
    try:
        with dial(host, number) as s:
            s.sendall(b"hello\n")
            expect_reset(s)
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        pass


def whoami(host, number):
    """Prints the address that the server sees, and the one of the socket."""
    with dial(host, number) as s:
        print(line(s).split()[2], plain(s.getsockname()[0]))


def sendfile(host, path):
    """Sends a file by sendfile(2); prints what the server got."""
    with dial(host, 9001) as s, open(path, "rb") as f:
        at = 0
        s.setblocking(True)
        while True:
            n = os.sendfile(s.fileno(), f.fileno(), at, 1 << 20)
            if n == 0:
                break
            at += n
        s.shutdown(socket.SHUT_WR)
        print(line(s))


def splice(host, path, out):
    """Sends a file by splice(2), gets it back by splice(2) into OUT."""
    into, out_of = os.pipe()[::-1]
    with dial(host, 9001) as s, open(path, "rb") as f:
        s.setblocking(True)
        while True:
            n = os.splice(f.fileno(), into, 1 << 16)
            if n == 0:
                break
            while n:
                n -= os.splice(out_of, s.fileno(), n)
        s.shutdown(socket.SHUT_WR)
        print(line(s))
    with dial(host, 9002) as s, open(out, "wb") as f:
        s.setblocking(True)
        s.sendall((path + "\n").encode())
        while True:
            n = os.splice(s.fileno(), into, 1 << 16)
            if n == 0:
                break
            while n:
                n -= os.splice(out_of, f.fileno(), n)


def flood(host, name, limit, told, go):
    """Sends to somebody who does not read until nothing goes any more; writes the number of
    bytes to TOLD, waits for GO, ends, and both sides agree about length and content."""
    digest, n, block = hashlib.sha256(), 0, os.urandom(1 << 16)
    poll = select.poll()
    with dial(host, 9009) as s:
        s.sendall((name + "\n").encode())
        expect(line(s), "deaf")
        s.setblocking(False)
        poll.register(s, select.POLLOUT)
        while n < int(limit) and poll.poll(1000):
            sent = s.send(block)
            digest.update(block[:sent])
            n += sent
        with open(told + ".new", "w") as f:
            print(n, file=f)
        os.rename(told + ".new", told)
        while not os.path.exists(go):
            time.sleep(0.05)  # poll
        s.setblocking(True)
        s.shutdown(socket.SHUT_WR)
        expect(line(s), "{} {}".format(n, digest.hexdigest()))


def woken(host, name):
    """Lets the deaf one hear."""
    with dial(host, 9010) as s:
        s.sendall((name + "\n").encode())
        expect(line(s), "done")


def upload(host, count, size):
    """COUNT connections at once send SIZE bytes each and all arrive."""
    block, errors = os.urandom(int(size)), []
    want = "{} {}".format(size, hashlib.sha256(block).hexdigest())

    def one():
        try:
            with dial(host, 9001) as s:
                s.sendall(block)
                s.shutdown(socket.SHUT_WR)
                expect(line(s), want)
        except (AssertionError, OSError) as e:
            errors.append(repr(e))

    threads = [threading.Thread(target=one) for _ in range(int(count))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for e in errors:
        print(e)
    return 1 if errors else 0


def echo_all(ready, sockets):
    """A byte to everybody and back."""
    for s in sockets.values():
        s.send(b"a")
    missing = dict(sockets)
    while missing:
        events = ready.poll(PATIENCE)
        assert events, "{} connections do not answer".format(len(missing))
        for fd, _ in events:
            expect(missing.pop(fd).recv(10), b"a")


def hold(host, count, told, go):
    """COUNT connections are open at once (the file TOLD appears) and work before and after GO."""
    ready, sockets = select.epoll(), {}
    for _ in range(int(count)):
        s = dial(host, HOLD_PORT)
        s.setblocking(False)
        sockets[s.fileno()] = s
        ready.register(s, select.EPOLLIN)
    echo_all(ready, sockets)
    os.close(os.open(told, os.O_CREAT | os.O_WRONLY))
    while not os.path.exists(go):
        time.sleep(0.05)  # poll
    echo_all(ready, sockets)
    for s in sockets.values():
        s.close()


def short(host, number, count, parallel):
    """COUNT connections of one byte each, PARALLEL at a time; none fails. Says how long the
    longest took, and how many took longer than a second, the first retransmission of a SYN."""
    left, errors, lock = [int(count)], [], threading.Lock()
    longest, slow = [0.0], [0]

    def take():
        with lock:
            left[0] -= 1
            return left[0] >= 0

    def work():
        while take() and not errors:
            begin = time.monotonic()
            try:
                with socket.create_connection((host, int(number)), timeout=PATIENCE) as s:
                    s.send(b"a")
                    expect(s.recv(10), b"a")
                took = time.monotonic() - begin
                with lock:
                    longest[0] = max(longest[0], took)
                    slow[0] += took > 1
            except (AssertionError, OSError) as e:
                errors.append("with {} to go: {!r}".format(left[0], e))

    threads = [threading.Thread(target=work) for _ in range(int(parallel))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    for e in errors:
        print(e)
    if not errors:
        print("{} connections, longest {:.0f} ms, {} longer than 1 s".format(
            count, longest[0] * 1000, slow[0]))
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(globals()[sys.argv[1]](*sys.argv[2:]))
