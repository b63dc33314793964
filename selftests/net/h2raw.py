#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""A peer of HBONE that breaks rules, for the network scenarios: TLS of the standard library,
HTTP/2 frames by hand.

    h2raw.py [-c CHAIN.pem -k KEY.pem] [-p PORT] HOST CASE [ARGUMENT...]

Each case is a function case_NAME below. It prints what the other side did, one word for each
connection or request: closed, reset, goaway:CODE, rst:CODE, status:N, open (it did nothing),
refused (the TLS handshake failed).
"""
import os
import random
import resource
import signal
import socket
import ssl
import struct
import sys
import threading
import time

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
ES, EH, ACK = 1, 4, 1
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
TIMEOUT = 10


class Target:
    host, port, chain, key = "", 15008, None, None


def tcp():
    s = socket.create_connection((Target.host, Target.port), TIMEOUT)
    s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return s


def context(alpn=("h2",), chain=True):
    c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    c.check_hostname = False
    c.verify_mode = ssl.CERT_NONE
    if alpn:
        c.set_alpn_protocols(list(alpn))
    if chain and Target.chain:
        c.load_cert_chain(Target.chain, Target.key)
    return c


def frame(kind, flags, stream, payload=b"", length=None):
    n = len(payload) if length is None else length
    return struct.pack("!I", n)[1:] + struct.pack("!BBI", kind, flags, stream) + payload


def integer(n, bits, first=0):
    top = (1 << bits) - 1
    if n < top:
        return bytes([first | n])
    out, n = bytearray([first | top]), n - top
    while n >= 128:
        out.append(n & 127 | 128)
        n >>= 7
    out.append(n)
    return bytes(out)


def field(name, value):
    if isinstance(name, str):
        name = name.encode()
    if isinstance(value, str):
        value = os.fsencode(value)  # arguments need not be UTF-8
    return b"\0" + integer(len(name), 7) + name + integer(len(value), 7) + value


# Every field block begins with "my table has size 0", as our SETTINGS want it once they are
# acknowledged, and as is allowed before.
TABLE_ZERO = b"\x20"


def connect_block(authority, method="CONNECT", more=()):
    block = TABLE_ZERO + field(":method", method) + field(":authority", authority)
    return block + b"".join(field(n, v) for n, v in more)


def digits(bits):
    """Huffman code of digits, the only text of a status."""
    table = {"00000": "0", "00001": "1", "00010": "2"}
    table.update({format(0b011001 + i, "06b"): str(3 + i) for i in range(7)})
    out, word = "", ""
    for b in bits:
        word += b
        if word in table:
            out, word = out + table[word], ""
    return out


def status_of(block):
    """:status of a field block, which is its first field."""
    while block and block[0] & 0xe0 == 0x20:  # table size
        block = block[1:] if block[0] & 31 < 31 else block[2:]
    if block[0] & 0x80:
        return {8: 200, 9: 204, 10: 206, 11: 304, 12: 400, 13: 404, 14: 500}[block[0] & 127]
    n, huffman = block[1] & 127, block[1] & 128
    text = block[2:2 + n]
    if huffman:
        return int(digits("".join(format(b, "08b") for b in text)))
    return int(text)


class Tls:
    """As much of a TLS socket as a Peer needs. After a failed send, which is the end for the
    library's own, what had come before can still be read."""

    def __init__(self, s):
        self.s, self.into, self.out = s, ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context().wrap_bio(self.into, self.out)
        self.settimeout = s.settimeout
        while True:
            try:
                self.tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                s.sendall(self.out.read())
                self.feed()
        s.sendall(self.out.read())

    def feed(self):
        data = self.s.recv(65536)
        if not data:
            raise EOFError
        self.into.write(data)

    def sendall(self, data):
        self.tls.write(data)
        self.s.sendall(self.out.read())

    def recv(self, n):
        while True:
            try:
                return self.tls.read(n)
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLZeroReturnError:
                return b""
            try:
                self.feed()
            except EOFError:
                return b""


class Peer:
    """One connection. settings: ours, as a list of pairs."""

    def __init__(self, settings=(), hello=True, window=0):
        self.s = Tls(tcp())
        self.buf = b""
        self.frames = []
        if hello:
            first = PREFACE + self.settings(settings)
            if window:
                first += frame(WINDOW, 0, 0, struct.pack("!I", window))
            self.send(first)

    @staticmethod
    def settings(pairs=()):
        return frame(SETTINGS, 0, 0, b"".join(struct.pack("!HI", k, v) for k, v in pairs))

    def send(self, data):
        self.s.sendall(data)

    def try_send(self, data):
        """False: the other side has gone, or does not read."""
        try:
            self.s.sendall(data)
            return True
        except OSError:
            return False

    def connect(self, stream, authority, **k):
        self.send(frame(HEADERS, EH, stream, connect_block(authority, **k)))

    def read(self, timeout=TIMEOUT):
        """Next frame as (kind, flags, stream, payload); None at the end, OSError."""
        self.s.settimeout(timeout)
        while True:
            if len(self.buf) >= 9:
                n = int.from_bytes(self.buf[:3], "big")
                if len(self.buf) >= 9 + n:
                    kind, flags, stream = struct.unpack("!BBI", self.buf[3:9])
                    payload, self.buf = self.buf[9:9 + n], self.buf[9 + n:]
                    return kind, flags, stream & 0x7fffffff, payload
            data = self.s.recv(65536)
            if not data:
                return None
            self.buf += data

    def verdict(self, timeout=TIMEOUT, stream=None):
        """What becomes of the connection, or of a stream of it."""
        end = time.monotonic() + timeout
        try:
            while True:
                f = self.read(max(end - time.monotonic(), 0.01))
                if f is None:
                    return "closed"
                kind, flags, sid, payload = f
                if kind == GOAWAY:
                    return f"goaway:{struct.unpack('!I', payload[4:8])[0]}"
                if kind == SETTINGS and not flags & ACK:
                    self.try_send(frame(SETTINGS, ACK, 0))
                if stream is not None and sid == stream:
                    if kind == RST:
                        return f"rst:{struct.unpack('!I', payload)[0]}"
                    if kind == HEADERS:
                        return f"status:{status_of(payload)}"
        except (TimeoutError, socket.timeout):
            return "open"
        except OSError:
            return "reset"

    def ended(self):
        """The verdict, if the connection has ended by what has come so far; None: it has not."""
        try:
            while True:
                f = self.read(0)
                if f is None:
                    return "closed"
                if f[0] == GOAWAY:
                    return f"goaway:{struct.unpack('!I', f[3][4:8])[0]}"
        except (BlockingIOError, TimeoutError, socket.timeout, ssl.SSLWantReadError):
            return None
        except OSError:
            return "reset"

    def flood(self, frames, step=50):
        """All of these, a few at a time, reading in between: what is said at the end comes before
        the reset that bytes behind it cause, and who writes on without reading misses it."""
        for at in range(0, len(frames), step):
            self.s.settimeout(TIMEOUT)
            if not self.try_send(b"".join(frames[at:at + step])):
                break
            said = self.ended()
            if said:
                return said
        return self.verdict()

    def alive(self):
        """A PING comes back."""
        mark = os.urandom(8)
        if not self.try_send(frame(PING, 0, 0, mark)):
            return False
        try:
            while True:
                f = self.read()
                if f is None:
                    return False
                if f[0] == PING and f[1] & ACK and f[3] == mark:
                    return True
        except OSError:
            return False


def raw_end(s, timeout=TIMEOUT):
    s.settimeout(timeout)
    try:
        while s.recv(65536):
            pass
        return "closed"
    except (TimeoutError, socket.timeout):
        return "open"
    except OSError:
        return "reset"


# ---- before TLS is up ------------------------------------------------------------------------

def case_raw():
    """Bytes that are no TLS: each connection must be ended by the other side."""
    for junk in (b"\0" * 64, b"\xff" * 4096, os.urandom(100000), b"SSH-2.0-OpenSSH_9.2\r\n",
                 b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", PREFACE + Peer.settings(),
                 b"\x16\x03\x01\xff\xff" + os.urandom(70000), b"\x16\x03\x01\0\0" * 1000,
                 b"\x14\x03\x03\0\1\1" * 5000, b"\x17\x03\x03\x40\x00" + os.urandom(16384)):
        s = tcp()
        try:
            s.sendall(junk)
        except OSError:
            pass
        print(raw_end(s))


def client_hello():
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context().wrap_bio(incoming, outgoing)
    try:
        tls.do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()


def case_cut():
    """A real ClientHello, cut at every 16 bytes, then an end."""
    hello = client_hello()
    for n in range(0, len(hello), 16):
        s = tcp()
        s.sendall(hello[:n])
        s.shutdown(socket.SHUT_WR)
        print(raw_end(s))


def case_drip():
    """The same hello byte by byte is a good one: it is answered."""
    s = tcp()
    for b in client_hello():
        s.sendall(bytes([b]))
    s.settimeout(TIMEOUT)
    print("answered" if s.recv(5)[:1] == b"\x16" else "no answer")


def case_flipped():
    """A hello with one wrong byte, and a good one with junk after it."""
    hello = bytearray(client_hello())
    for at in range(0, len(hello), 7):
        s = tcp()
        broken = bytes(hello[:at]) + bytes([hello[at] ^ 0xff]) + bytes(hello[at + 1:])
        try:
            s.sendall(broken + os.urandom(600))
            s.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        print(raw_end(s))


def handshake(c):
    """In TLS 1.3 a client learns of its rejection only when it reads."""
    try:
        with c.wrap_socket(tcp()) as s:
            s.settimeout(TIMEOUT)
            s.sendall(PREFACE + Peer.settings())
            return "open" if s.recv(1) else "refused"
    except OSError:
        return "refused"


def case_good():
    print(handshake(context()))


def case_alpn():
    for names in (("http/1.1",), ("h3",), ("h2c", "spdy/3"), ()):
        print(handshake(context(alpn=names)))


def case_no_certificate():
    print(handshake(context(chain=False)))


def case_tls12():
    c = context()
    c.maximum_version = ssl.TLSVersion.TLSv1_2
    print(handshake(c))


def case_half_open(n):
    """N connections with half a hello; prints how many were open at once and how they ended."""
    n = int(n)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
    hello = client_hello()
    all_s = []
    for i in range(n):
        try:
            s = tcp()
            s.sendall(hello[:(i % 3) * 100])
            all_s.append(s)
        except OSError:
            pass
    print(f"standing {len(all_s)}", flush=True)
    ends = [raw_end(s, 20) for s in all_s]
    print("ended", len(ends) - ends.count("open"), "open", ends.count("open"))


def case_abandon(n):
    """N connections, one after the other, that are closed with half a hello sent."""
    hello = client_hello()
    for i in range(int(n)):
        s = tcp()
        s.sendall(hello[:(i % 5) * 100])
        s.close()


def case_silent(n):
    """N connections that shake hands and then say nothing, half a preface, or half of a first frame."""
    n = int(n)
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
    c, all_s = context(), []
    for i in range(n):
        try:
            s = c.wrap_socket(tcp())
            s.sendall((b"", PREFACE[:12], PREFACE + b"\0\0")[i % 3])
            all_s.append(s)
        except OSError:
            pass
    print(f"standing {len(all_s)}", flush=True)
    ends = [tls_end(s, 20) for s in all_s]
    print("ended", len(ends) - ends.count("open"), "open", ends.count("open"))


def tls_end(s, timeout):
    s.settimeout(timeout)
    try:
        while s.recv(65536):
            pass
        return "closed"
    except TimeoutError:
        return "open"
    except OSError:
        return "reset"


def case_syn_flood(seconds):
    """SYNs from addresses that nobody has, as fast as they go; prints how many."""
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    dst = socket.inet_aton(Target.host)
    end, n, rnd = time.monotonic() + float(seconds), 0, random.Random(1)
    while time.monotonic() < end:
        src = struct.pack("!I", 0xc6120000 | rnd.getrandbits(16))  # 198.18.0.0/16
        tcp_head = struct.pack("!HHIIBBHHH", rnd.randrange(1024, 65536), Target.port,
                               rnd.getrandbits(32), 0, 5 << 4, 2, 65535, 0, 0)
        pseudo = src + dst + struct.pack("!HH", socket.IPPROTO_TCP, len(tcp_head))
        total = sum(struct.unpack("!16H", pseudo + tcp_head))
        while total >> 16:
            total = (total & 0xffff) + (total >> 16)
        tcp_head = tcp_head[:16] + struct.pack("!H", ~total & 0xffff) + tcp_head[18:]
        ip_head = struct.pack("!BBHHHBBH", 0x45, 0, 40, 0, 0, 64, socket.IPPROTO_TCP, 0) + src + dst
        try:
            raw.sendto(ip_head + tcp_head, (Target.host, 0))
            n += 1
        except OSError:
            pass
    print(n)


# ---- HTTP/2 that is none ---------------------------------------------------------------------

def broken():
    good = connect_block("10.0.0.1:80")
    big = field("x", "y" * 4000)
    yield "preface", None, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    yield "garbage", None, os.urandom(50000)
    yield "no-settings", None, PREFACE + frame(PING, 0, 0, b"12345678")
    yield "settings-on-stream", None, PREFACE + frame(SETTINGS, 0, 1)
    yield "oversized", (), frame(DATA, 0, 1, b"", length=0xffffff)
    yield "oversized-16385", (), frame(HEADERS, EH, 1, b"x" * 16385)
    yield "settings-5", (), frame(SETTINGS, 0, 0, b"12345")
    yield "settings-window", (), Peer.settings([(4, 0xffffffff)])
    yield "settings-frame", (), Peer.settings([(5, 1)])
    yield "ping-7", (), frame(PING, 0, 0, b"1234567")
    yield "ping-stream", (), frame(PING, 0, 3, b"12345678")
    yield "headers-0", (), frame(HEADERS, EH, 0, good)
    yield "headers-even", (), frame(HEADERS, EH, 2, good)
    yield "headers-backwards", (), frame(HEADERS, EH, 5, good) + frame(HEADERS, EH, 3, good)
    yield "hpack", (), frame(HEADERS, EH, 1, b"\xff" * 100)
    yield "hpack-huge-int", (), frame(HEADERS, EH, 1, b"\x7f" + b"\xff" * 20)
    yield "hpack-index", (), frame(HEADERS, EH, 1, b"\xfe")
    yield "hpack-table", (), frame(HEADERS, EH, 1, b"\x3f\xff\xff\xff\x07" + good)
    yield "padding", (), frame(HEADERS, EH | 8, 1, b"\xff" + good)
    yield "continuation-alone", (), frame(CONTINUATION, EH, 1, good)
    yield "continuation-broken", (), frame(HEADERS, 0, 1, good) + frame(PING, 0, 0, b"12345678")
    yield "continuation-flood", (), frame(HEADERS, 0, 1) + frame(CONTINUATION, 0, 1) * 20000
    yield "continuation-bomb", (), frame(HEADERS, 0, 1, good) + frame(CONTINUATION, 0, 1, big) * 50
    yield "data-idle", (), frame(DATA, 0, 7, b"x")
    yield "rst-idle", (), frame(RST, 0, 7, b"\0\0\0\0")
    yield "rst-3", (), frame(RST, 0, 1, b"\0\0\0")
    yield "window-0", (), frame(WINDOW, 0, 0, b"\0\0\0\0")
    yield "window-over", (), frame(WINDOW, 0, 0, b"\x7f\xff\xff\xff") * 2
    yield "window-idle", (), frame(WINDOW, 0, 9, b"\0\0\0\1")
    yield "push", (), frame(PUSH, EH, 1, b"\0\0\0\2" + good)
    yield "priority-flood", (), frame(PRIORITY, 0, 1, b"\0\0\0\3\1") * 20000
    yield "unknown-flood", (), frame(99, 255, 0, b"hi") * 20000
    yield "settings-flood", (), Peer.settings() * 200000
    yield "ping-flood", (), frame(PING, 0, 0, b"12345678") * 200000


def case_flood(kind, authority):
    """Legal frames that do nothing, without end, on a connection with one stream that is in use:
    what became of it."""
    good = connect_block(authority)
    more = {
        "ping": frame(PING, 0, 0, b"12345678"),
        "settings": Peer.settings(),
        "settings-window": Peer.settings([(4, 65535)]) + Peer.settings([(4, 65534)]),
        "window": frame(WINDOW, 0, 0, b"\0\0\0\1"),
        "window-stream": frame(WINDOW, 0, 1, b"\0\0\0\1"),
        "data": frame(DATA, 0, 1),
        "data-padding": frame(DATA, 8, 1, b"\x07" + bytes(7)),
        "priority": frame(PRIORITY, 0, 1, b"\0\0\0\3\1"),
        "unknown": frame(99, 255, 0, b"hi"),
        "rst": frame(RST, 0, 1, b"\0\0\0\x08"),
        "trailers": frame(HEADERS, EH, 1, good),
        "goaway": frame(GOAWAY, 0, 0, b"\0\0\0\0\0\0\0\0"),
    }
    p = Peer()
    p.send(frame(HEADERS, EH, 1, good))
    if kind == "reset":
        junk = [frame(HEADERS, EH, i, good) + frame(RST, 0, i, b"\0\0\0\x08")
                for i in range(3, 200003, 2)]
    elif kind == "continuation":
        junk = [frame(HEADERS, 0, 3, good)] + [frame(CONTINUATION, 0, 3)] * 200000
    else:
        junk = [more[kind]] * 200000
    # Who reads the answers may ping for ever.
    if kind == "ping":
        p.try_send(b"".join(junk))
        print(p.verdict(), flush=True)
    else:
        print(p.flood(junk), flush=True)


def case_broken():
    """One connection for each rule that is broken: "NAME verdict" lines."""
    for name, settings, junk in broken():
        p = Peer(settings or (), hello=settings is not None)
        p.try_send(junk)
        print(name, p.verdict(), flush=True)


# ---- floods of legal frames ------------------------------------------------------------------

def case_reset_flood(authority, n):
    """HEADERS and RST_STREAM, n times (CVE-2023-44487)."""
    p = Peer()
    block = connect_block(authority)
    for i in range(int(n)):
        sid = 2 * i + 1
        cancel = frame(RST, 0, sid, struct.pack("!I", 8))
        if not p.try_send(frame(HEADERS, EH, sid, block) + cancel):
            break
    print("open" if p.alive() else "ended")


def case_streams(authority, n):
    """n CONNECTs at once, nothing read before they are sent: how many got which answer."""
    n = int(n)
    p = Peer()
    p.s.settimeout(TIMEOUT)
    block = connect_block(authority)
    for i in range(n):
        if not p.try_send(frame(HEADERS, EH, 2 * i + 1, block)):
            break
    said = {"200": 0, "other": 0, "refused": 0}
    end = "open"
    try:
        while said["200"] + said["other"] + said["refused"] < n:
            f = p.read()
            if f is None or f[0] == GOAWAY:
                end = "closed" if f is None else f"goaway:{struct.unpack('!I', f[3][4:8])[0]}"
                break
            if f[0] == HEADERS:
                said["200" if status_of(f[3]) == 200 else "other"] += 1
            elif f[0] == RST:
                said["refused"] += 1
    except OSError:
        end = "reset"
    print(f"200={said['200']} other={said['other']} refused={said['refused']} {end}")


def case_ping_deaf(n):
    """n PINGs, and no answer is ever read."""
    p = Peer()
    p.s.settimeout(5)
    pings = frame(PING, 0, 0, b"12345678") * 1000
    for _ in range(int(n) // 1000):
        if not p.try_send(pings):
            break
    print(p.verdict())


# ---- requests --------------------------------------------------------------------------------

def case_ask(*authorities):
    """A CONNECT for each authority, each on a connection of its own. @SIZE: so many letters."""
    for a in authorities:
        p = Peer()
        block = connect_block("a" * int(a[1:]) if a.startswith("@") else a)
        p.try_send(frame(HEADERS, 0, 1, block[:8000]))
        for at in range(8000, len(block), 8000):
            p.try_send(frame(CONTINUATION, 0, 1, block[at:at + 8000]))
        p.try_send(frame(CONTINUATION, EH, 1))
        print(p.verdict(stream=1), flush=True)


def case_say(authority, *fields):
    """A CONNECT with more fields, NAME=VALUE."""
    p = Peer()
    more = [f.split("=", 1) for f in fields]
    p.send(frame(HEADERS, EH, 1, connect_block(authority, more=more)))
    print(p.verdict(stream=1), flush=True)


def case_method(authority, *methods):
    p = Peer()
    for i, m in enumerate(methods):
        sid = 2 * i + 1
        more = () if m == "CONNECT" else ((":scheme", "http"), (":path", "/"))
        block = TABLE_ZERO + field(":method", m) + b"".join(field(n, v) for n, v in more)
        p.send(frame(HEADERS, EH, sid, block + field(":authority", authority)))
        print(p.verdict(stream=sid), flush=True)


class Windows:
    """What we may send: the peer's windows, kept up to date by what was read."""

    def __init__(self):
        self.conn = self.first = 65535
        self.grown = {}
        self.sent = {}

    def see(self, f):
        kind, flags, stream, payload = f
        if kind == WINDOW:
            n = struct.unpack("!I", payload)[0]
            if stream:
                self.grown[stream] = self.grown.get(stream, 0) + n
            else:
                self.conn += n
        elif kind == SETTINGS and not flags & ACK:
            for i in range(0, len(payload), 6):
                k, v = struct.unpack("!HI", payload[i:i + 6])
                if k == 4:
                    self.first = v

    def room(self, stream):
        own = self.first + self.grown.get(stream, 0) - self.sent.get(stream, 0)
        return max(0, min(self.conn, own))

    def take(self, stream, n):
        self.conn -= n
        self.sent[stream] = self.sent.get(stream, 0) + n


def case_early(authority, n):
    """CONNECT and n bytes behind it at once, then the end; do all of them come back?"""
    n = int(n)
    p, w = Peer(settings=[(4, 1 << 30)], window=1 << 30), Windows()
    p.connect(1, authority)
    p.send(frame(DATA, 0, 1, b"hold\n"))
    w.take(1, 5)
    got = sent = 0
    ended = False
    while True:
        while sent < n and w.room(1):
            part = min(16000, n - sent, w.room(1))
            p.send(frame(DATA, 0, 1, b"e" * part))
            w.take(1, part)
            sent += part
        if sent == n and not ended:
            p.send(frame(DATA, ES, 1))
            ended = True
        f = p.read()
        if f is None or f[0] in (RST, GOAWAY):
            break
        w.see(f)
        if f[0] == DATA:
            got += len(f[3])
            if f[1] & ES:
                break
    print("all" if got > n else f"{got} of {n}")


# ---- peers that do not read ------------------------------------------------------------------

def ask_down(p, stream, authority, n):
    p.connect(stream, authority)
    p.send(frame(DATA, 0, stream, f"down {n}\n".encode()))


def case_zero_window(authority, streams, n):
    """The application sends n bytes on each stream, and no window is ever opened. Stays until it
    is killed."""
    p = Peer(settings=[(4, 0)])
    for i in range(int(streams)):
        ask_down(p, 2 * i + 1, authority, n)
    print("alive" if p.alive() else "dead", flush=True)
    signal.pause()


def case_deaf(authority, streams, n):
    """Windows are wide open, but nothing is read from TCP. Stays until it is
    killed."""
    p = Peer(settings=[(4, 0x7fffffff)], window=0x7fff0000)
    for i in range(int(streams)):
        ask_down(p, 2 * i + 1, authority, n)
    print("alive", flush=True)
    signal.pause()


def case_hoard(authority, streams, n):
    """n bytes, as far as windows allow, on each stream, for an application that does not read:
    it is stuck saying more than we let it. Says how many were sent and stays until it is
    killed."""
    streams, n = [2 * i + 1 for i in range(int(streams))], int(n)
    p, w = Peer(settings=[(4, 0)]), Windows()
    for s in streams:
        ask_down(p, s, authority, n)
        w.take(s, len(f"down {n}\n"))
    quiet = False
    while not quiet:
        for s in streams:
            while w.room(s) and w.sent[s] < n:
                part = min(16000, n - w.sent[s], w.room(s))
                p.send(frame(DATA, 0, s, bytes(part)))
                w.take(s, part)
        try:
            w.see(p.read(1))
        except (TimeoutError, socket.timeout):
            quiet = True  # nothing more is allowed
    print(f"sent {sum(w.sent.values())}", "alive" if p.alive() else "dead", flush=True)
    signal.pause()


# ---- for programs that have no client certificate --------------------------------------------

def without_ack(a, b):
    """Bytes of a to b up to its first acknowledgement of SETTINGS, and that one not. Gives what
    came behind it."""
    buf = a.recv(65536)
    while buf and not PREFACE.startswith(buf[:24]):
        return buf  # no preface: as it is
    at = 24
    while buf and at < (1 << 16):
        while len(buf) < at + 9:
            more = a.recv(65536)
            if not more:
                return buf
            b.sendall(buf[:at])
            buf, at = buf[at:] + more, 0
        n = int.from_bytes(buf[at:at + 3], "big")
        if buf[at + 3] == SETTINGS and buf[at + 4] & ACK and n == 0:
            b.sendall(buf[:at])
            return buf[at + 9:]
        if buf[at + 3] != SETTINGS or n > 100:
            return buf
        at += 9 + n
    return buf


def pour(a, b, first=None):
    try:
        if first:
            b.sendall(first(a, b))
        while True:
            data = a.recv(65536)
            if not data:
                break
            b.sendall(data)
    except OSError:
        pass
    # Either end is the end of both: who asks wants to know when weftd hangs up.
    for s in (a, b):
        try:
            s.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def case_forward(port, ack=""):
    """Takes HTTP/2 in plain text on this port of localhost and speaks TLS for it, until it is
    killed. Unless ack is given, the acknowledgement of weftd's SETTINGS is swallowed: until it
    comes, a peer may use a dynamic table for HPACK, and programs that take no notice of
    SETTINGS_HEADER_TABLE_SIZE do."""
    l = socket.create_server(("127.0.0.1", int(port)), backlog=100)
    print("ready", flush=True)
    while True:
        plain, _ = l.accept()
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            tls = context().wrap_socket(tcp())
            tls.settimeout(None)
        except OSError:
            plain.close()
            continue
        for pair in ((plain, tls, None if ack else without_ack), (tls, plain)):
            threading.Thread(target=pour, args=pair, daemon=True).start()


def main(argv):
    while argv and argv[0].startswith("-"):
        name = {"-c": "chain", "-k": "key", "-p": "port"}[argv[0]]
        setattr(Target, name, int(argv[1]) if name == "port" else argv[1])
        argv = argv[2:]
    Target.host = argv[0]
    globals()["case_" + argv[1].replace("-", "_")](*argv[2:])


main(sys.argv[1:])
