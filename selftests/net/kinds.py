#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""One connection of a kind to a server of peer.py: kinds.py KIND HOST PORT

plain, mptcp (Multipath TCP), sendto (TCP Fast Open by MSG_FASTOPEN), option (by
TCP_FASTOPEN_CONNECT). Prints the server's host name, timeout, unsupported, or an error's name.
"""
import errno
import socket
import sys

IPPROTO_MPTCP = 262
MSG_FASTOPEN = 0x20000000
TCP_FASTOPEN_CONNECT = 30


def greeting(kind, host, port):
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        s = socket.socket(family, socket.SOCK_STREAM, IPPROTO_MPTCP if kind == "mptcp" else 0)
    except OSError:
        return "unsupported"
    s.settimeout(1.5 if kind == "plain" else 10)
    if kind == "sendto":
        s.settimeout(None)  # or it is EINPROGRESS
        s.sendto(b"hold\n", MSG_FASTOPEN, (host, port))
        s.settimeout(10)
    else:
        if kind == "option":
            s.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        s.connect((host, port))
        s.sendall(b"hold\n")
    text = s.recv(100).decode()
    return text.split()[0] if text else "EOF"


try:
    print(greeting(sys.argv[1], sys.argv[2], int(sys.argv[3])))
except (TimeoutError, socket.timeout):
    print("timeout")
except OSError as e:
    print(errno.errorcode.get(e.errno, str(e)))
