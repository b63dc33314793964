#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Packets with any source address, for the network scenarios.

    spoof.py hear PORT                   the text of each datagram that comes, until killed
    spoof.py OPTION... say SRC DST PORT TEXT     one UDP datagram
    spoof.py OPTION... syn SRC DST PORT          one SYN
    spoof.py honest DST PORT TEXT        a datagram by an ordinary socket

Options: -d DEV, -m MAC, -v TAGS (so many tags of VLAN 0).

DEV: eth0; MAC of the next hop: that of the permanent neighbour.
"""
import socket
import struct
import subprocess
import sys

OPTIONS = {"-d": "eth0", "-m": "", "-v": "0"}


def checksum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def family_of(ip):
    return socket.AF_INET6 if ":" in ip else socket.AF_INET


def packet(src, dst, proto, make):
    """make(checksum) gives the upper part."""
    v6 = ":" in src
    a, b = socket.inet_pton(family_of(src), src), socket.inet_pton(family_of(dst), dst)
    n = len(make(0))
    pseudo = a + b + (struct.pack("!II", n, proto) if v6 else struct.pack("!HH", proto, n))
    upper = make(checksum(pseudo + make(0)))
    if v6:
        return struct.pack("!IHBB", 6 << 28, n, proto, 64) + a + b + upper
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + n, 1, 0, 64, proto, 0) + a + b
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + upper


def udp(port, text):
    return lambda c: struct.pack("!HHHH", 5555, port, 8 + len(text), c) + text


def syn(port):
    return lambda c: struct.pack("!HHIIBBHHH", 5555, port, 1, 0, 0x50, 2, 1000, c, 0)


def next_hop():
    out = subprocess.run(["ip", "neigh", "show", "nud", "permanent", "dev", OPTIONS["-d"]],
                         capture_output=True, text=True, check=True).stdout
    words = out.split()
    return words[words.index("lladdr") + 1]


def transmit(payload, v6):
    mac = bytes.fromhex((OPTIONS["-m"] or next_hop()).replace(":", ""))
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as s:
        s.bind((OPTIONS["-d"], 0))
        tags = b"\x81\0\0\0" * int(OPTIONS["-v"])
        s.send(mac + s.getsockname()[4] + tags + (b"\x86\xdd" if v6 else b"\x08\0") + payload)


def hear(port):
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as s:
        s.bind(("::", port))
        print("listening", flush=True)
        while True:
            print(s.recv(1000).decode(), flush=True)


def main(argv):
    while argv[0] in OPTIONS:
        OPTIONS[argv[0]] = argv[1]
        argv = argv[2:]
    if argv[0] == "hear":
        hear(int(argv[1]))
    elif argv[0] == "honest":
        with socket.socket(family_of(argv[1]), socket.SOCK_DGRAM) as s:
            s.sendto(argv[3].encode(), (argv[1], int(argv[2])))
    else:
        src, dst, port = argv[1], argv[2], int(argv[3])
        if argv[0] == "say":
            payload = packet(src, dst, socket.IPPROTO_UDP, udp(port, argv[4].encode()))
        else:
            payload = packet(src, dst, socket.IPPROTO_TCP, syn(port))
        transmit(payload, ":" in src)


main(sys.argv[1:])
