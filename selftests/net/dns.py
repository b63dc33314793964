#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Both ends of DNS, byte by byte, for the scenarios about names.

  serve ADDRESS...        a nameserver on port 53 that answers anything: the question, then bytes
                          that follow from it. Prints "<udp|tcp> <from> <message>" for each.
  ask [-t] ADDRESS        sends messages of all kinds there (-t: over TCP), checks that the answer
                          to each is that of serve; prints each as it was sent
  watch ADDRESS NAME FILE asks for NAME again and again until FILE is there, as a resolver does: a second
                          socket if the first has no answer within a second. Prints "asked=N lost=N"
  held ADDRESS NAME       a connected UDP socket: for each line of stdin asks and prints the rcode, or
                          what went wrong
  spoof ADDRESS           a nameserver that sends forged answers before each right one: from another
                          port, with another id, for another question
"""
import hashlib
import os
import select
import socket
import struct
import sys
import threading


def name(text):
    return b"".join(bytes([len(p)]) + p.encode() for p in text.split(".") if p) + b"\0"


def query(text, kind, ident=1, flags=0x0100, more=b"", additional=0):
    head = struct.pack(">6H", ident, flags, 1, 0, 0, additional)
    return head + name(text) + struct.pack(">2H", kind, 1) + more


def opt(size=1232, flags=0x8000, options=b""):
    return b"\0" + struct.pack(">2HIH", 41, size, flags, len(options)) + options


# What weftd does not answer, each another one.
MESSAGES = [
    query("www.example.test", 1, 1),
    query("www.example.test", 28, 2, more=opt(), additional=1),
    query("_http._tcp.web.default.svc.cluster.local", 33, 3),
    query("web.default.svc.cluster.local", 16, 4),
    query("web.default.svc.cluster.local", 255, 5),
    query("web.default.svc.cluster.local", 65, 6),
    query("under_score.example.test", 1, 7),
    query("WwW.eXaMpLe.TeSt", 1, 8),
    query("web.default.svc.cluster.local", 1, 9, more=opt(flags=0x10000), additional=1),  # EDNS 1
    query("www.example.test", 1, 10, more=opt(options=struct.pack(">2H", 10, 8) + b"cookie!!"),
          additional=1),
    # UPDATE (RFC 2136): a zone, and one record to add
    struct.pack(">6H", 11, 0x2800, 1, 0, 1, 0) + name("lan") + struct.pack(">2H", 6, 1) +
    name("a.lan") + struct.pack(">2HIH", 1, 1, 60, 4) + b"\x01\x02\x03\x04",
    # two questions; no question; NOTIFY; a chaos class
    struct.pack(">6H", 12, 0x0100, 2, 0, 0, 0) + name("a.test") + b"\0\1\0\1" + name("b.test") + b"\0\1\0\1",
    struct.pack(">6H", 13, 0x0000, 0, 0, 0, 0),
    query("example.test", 6, 14, flags=0x2400),
    struct.pack(">6H", 15, 0x0100, 1, 0, 0, 0) + name("version.bind") + struct.pack(">2H", 16, 3),
    # a message of nonsense behind a good header, and a large one
    struct.pack(">6H", 16, 0x0100, 1, 0, 0, 0) + b"\xff" * 40,
    query("large.example.test", 1, 17, more=bytes(range(256)) * 16),
]


def answer(msg, longest):
    """QR and TC, the question, then up to 3000 bytes that follow from the message."""
    body = hashlib.shake_256(msg).digest(3000)
    end = 12
    while end < len(msg) and 0 < msg[end] < 64:
        end += 1 + msg[end]
    end = end + 5 if end + 5 <= len(msg) and msg[end] == 0 else 12
    count = msg[4:6] if end > 12 else b"\0\0"
    return (msg[:2] + bytes([msg[2] | 0x82, msg[3]]) + count + b"\0" * 6 + msg[12:end] + body)[:longest]


def families(addresses):
    for a in addresses:
        yield a, socket.AF_INET6 if ":" in a else socket.AF_INET


def say(*words):
    print(*words, flush=True)


def read_frame(s):
    head = s.recv(2, socket.MSG_WAITALL)
    return s.recv(struct.unpack(">H", head)[0], socket.MSG_WAITALL) if len(head) == 2 else b""


def serve_stream(s, peer):
    while msg := read_frame(s):
        say("tcp", peer[0], msg.hex())
        reply = answer(msg, 65535)
        s.sendall(struct.pack(">H", len(reply)) + reply)
    s.close()


def serve_listener(listener):
    while True:
        s, peer = listener.accept()
        threading.Thread(target=serve_stream, args=(s, peer), daemon=True).start()


def serve(addresses):
    udp = []
    for a, family in families(addresses):
        listener = socket.create_server((a, 53), family=family)
        threading.Thread(target=serve_listener, args=(listener,), daemon=True).start()
        s = socket.socket(family, socket.SOCK_DGRAM)
        s.bind((a, 53))
        udp.append(s)
    say("ready")
    while True:
        for s in select.select(udp, [], [])[0]:
            msg, peer = s.recvfrom(65535)
            say("udp", peer[0], msg.hex())
            s.sendto(answer(msg, 65535), peer)


def ask(address, tcp):
    family = next(families([address]))[1]
    s = socket.socket(family, socket.SOCK_STREAM if tcp else socket.SOCK_DGRAM)
    s.settimeout(10)
    if tcp:
        s.connect((address, 53))
        assert s.getpeername()[0] == address and s.getpeername()[1] == 53, s.getpeername()
    for msg in MESSAGES:
        if tcp:
            s.sendall(struct.pack(">H", len(msg)) + msg)
            got = read_frame(s)
        else:
            s.sendto(msg, (address, 53))
            got, peer = s.recvfrom(65535)
            assert peer[0] == address and peer[1] == 53, f"the answer is from {peer}"
        want = answer(msg, 65535)
        assert got == want, f"asked {msg.hex()}\nwant {want.hex()[:99]}\ngot {got.hex()[:99]}"
        say(msg.hex())


def try_once(address, msg):
    s = socket.socket(next(families([address]))[1], socket.SOCK_DGRAM)
    try:
        s.settimeout(1)
        s.connect((address, 53))
        s.send(msg)
        while True:
            got = s.recv(65535)
            if got[:2] == msg[:2]:
                return got[3] & 15 == 0
    except OSError:
        return False
    finally:
        s.close()


def watch(address, text, stop):
    asked = lost = 0
    say("watching")
    while not os.path.exists(stop):
        msg = query(text, 1, asked % 65536)
        asked += 1
        lost += not (try_once(address, msg) or try_once(address, msg))
    say(f"asked={asked} lost={lost}")


def held(address, text):
    s = socket.socket(next(families([address]))[1], socket.SOCK_DGRAM)
    s.settimeout(5)
    s.connect((address, 53))
    say("ready")
    for line in sys.stdin:
        try:
            s.send(query(text, 1))
            say(f"rcode={s.recv(65535)[3] & 15}")
        except OSError as e:
            say(f"error={type(e).__name__}")


def spoof(address):
    family = next(families([address]))[1]
    s, other = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(2))
    s.bind((address, 53))
    other.bind((address, 0))
    say("ready")
    while True:
        msg, peer = s.recvfrom(65535)
        right = answer(msg, 65535)
        forged = right[:-4] + b"EVIL"
        other.sendto(forged, peer)
        s.sendto(bytes([forged[0] ^ 1]) + forged[1:], peer)
        if right[5]:  # without a question there is none to be another one
            s.sendto(forged[:13] + bytes([forged[13] ^ 1]) + forged[14:], peer)
        s.sendto(forged[:2] + bytes([forged[2] & 0x7f]) + forged[3:], peer)
        s.sendto(right, peer)
        say("answered", peer[0])


def main(argv):
    if argv[0] == "serve":
        serve(argv[1:])
    elif argv[0] == "ask":
        ask(argv[-1], "-t" in argv)
    elif argv[0] == "watch":
        watch(*argv[1:])
    elif argv[0] == "held":
        held(*argv[1:])
    elif argv[0] == "spoof":
        spoof(argv[1])
    else:
        sys.exit(__doc__)


main(sys.argv[1:])
