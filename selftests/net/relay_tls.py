#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""relay_tls.py CAPTURE PORT: are all TCP bytes to and from PORT in a pcap file TLS records?

Puts the streams together by sequence numbers; all of them must have begun in the capture.
"""
import struct
import sys

HANDSHAKE, DATA = 22, 23
TYPES = (20, 21, HANDSHAKE, DATA)


def packets(path):
    with open(path, "rb") as f:
        magic, _, _, _, _, _, link = struct.unpack("<IHHiIII", f.read(24))
        assert magic in (0xa1b2c3d4, 0xa1b23c4d) and link == 1, "not an Ethernet capture"
        while head := f.read(16):
            yield f.read(struct.unpack("<IIII", head)[2])


def segment(frame):
    """((addresses, ports), sequence, flags, payload) of a TCP packet, or None."""
    kind, ip = struct.unpack("!H", frame[12:14])[0], frame[14:]
    if kind == 0x0800 and ip[9] == 6:
        ends, tcp = ip[12:20], ip[(ip[0] & 15) * 4:struct.unpack("!H", ip[2:4])[0] or None]
    elif kind == 0x86dd and ip[6] == 6:
        length = struct.unpack("!H", ip[4:6])[0]
        ends, tcp = ip[8:40], ip[40:40 + length if length else None]
    else:
        return None
    sport, dport, seq = struct.unpack("!HHI", tcp[:8])
    return (ends, sport, dport), seq, tcp[13], tcp[(tcp[12] >> 4) * 4:]


def streams(path, port):
    """Payload of each direction, in order, for connections whose start is in the capture."""
    parts = {}
    for frame in packets(path):
        found = segment(frame)
        if not found or port not in found[0][1:]:
            continue
        key, seq, flags, payload = found
        if flags & 2:
            parts[key] = (seq + 1 & 0xffffffff, {})
        elif key in parts and payload:
            at, segments = seq - parts[key][0] & 0xffffffff, parts[key][1]
            # Sent again, it may be cut differently.
            if len(payload) > len(segments.get(at, b"")):
                segments[at] = payload
        elif payload:
            sys.exit("a connection began before the capture")
    for key, (_, segments) in parts.items():
        data = bytearray()
        for at in sorted(segments):
            assert at <= len(data), "a segment is missing in the capture"
            if at + len(segments[at]) > len(data):
                data[at:] = segments[at]
        yield key, data


def check(key, data):
    """Number of records of each type."""
    at, kinds = 0, {}
    while at + 5 <= len(data):
        kind, major, _, length = struct.unpack("!BBBH", data[at:at + 5])
        if kind not in TYPES or major != 3 or length > 16384 + 256:
            sys.exit("{} at byte {}: {} is no TLS record".format(key, at, data[at:at + 20]))
        kinds[kind] = kinds.get(kind, 0) + 1
        at += 5 + length
    return kinds


def main(path, port):
    total = {}
    for key, data in streams(path, port):
        for kind, n in check(key, data).items():
            total[kind] = total.get(kind, 0) + n
    print(total)
    if not total.get(HANDSHAKE) or not total.get(DATA):
        sys.exit("no TLS connection in the capture")


main(sys.argv[1], int(sys.argv[2]))
