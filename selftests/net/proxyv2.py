#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""proxyv2.py PORT: a server on loopback that reads a PROXY protocol header (version 2) in front of each
connection and answers one line: src=IP:PORT dst=IP:PORT id=IDENTITY from=PEER, then what it was sent.
"""
import ipaddress
import socket
import struct
import sys
import threading


def header(f):
    head = f.read(16)
    if head[:12] != b"\r\n\r\n\0\r\nQUIT\n" or head[12] != 0x21:
        raise ValueError(head)
    size = {0x11: 4, 0x21: 16}[head[13]]
    body = f.read(struct.unpack("!H", head[14:])[0])
    src, dst = (ipaddress.ip_address(body[i:i + size]) for i in (0, size))
    sport, dport = struct.unpack("!HH", body[2 * size:2 * size + 4])
    at, identity = 2 * size + 4, ""
    while at < len(body):
        kind, n = struct.unpack("!BH", body[at:at + 3])
        if kind == 0xd0:
            identity = body[at + 3:at + 3 + n].decode()
        at += 3 + n
    return f"src={src} sport={sport} dst={dst}:{dport} id={identity}"


def serve(s, peer):
    with s, s.makefile("rwb") as f:
        try:
            line = header(f) + f" from={peer[0]} said=" + f.readline().decode()
        except (ValueError, KeyError, struct.error) as e:
            line = f"no header: {e}\n"
        f.write(line.encode())


listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
while True:
    threading.Thread(target=serve, args=listener.accept(), daemon=True).start()
