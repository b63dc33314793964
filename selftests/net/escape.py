#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""What a pod's root tries that has CAP_NET_ADMIN and CAP_NET_RAW in its namespace and no more:

    escape.py HOST PORT OTHER-IP SOCKET PIN

Each attempt is a line: what, and what came of it (ok or an error's name). HOST:PORT is what the pod
must not reach, OTHER-IP the address of a pod that may, SOCKET weftd's control socket, PIN one of its pinned maps.
"""
import ctypes
import errno
import os
import socket
import sys

SO_MARK, IP_TRANSPARENT, ROUTE_MARK = 36, 19, 0x539
SYS_BPF, MAP_GET_NEXT_ID, PROG_GET_NEXT_ID, OBJ_GET = 321, 12, 11, 7

libc = ctypes.CDLL(None, use_errno=True)


def name_of(e):
    return errno.errorcode.get(e.errno, "timeout" if isinstance(e, TimeoutError) else str(e))


def tried(what, function, *args):
    try:
        function(*args)
        print(what, "ok")
    except OSError as e:
        print(what, name_of(e))


def dial(host, port, *options, source=None):
    with socket.socket() as s:
        s.settimeout(3)
        for level, option, value in options:
            s.setsockopt(level, option, value)
        if source:
            s.bind((source, 0))
        s.connect((host, port))
        if not s.recv(1):
            raise ConnectionResetError(errno.ECONNRESET, "closed")


def bpf(command, path=b""):
    attr = ctypes.create_string_buffer(128)
    name = ctypes.create_string_buffer(path)
    ctypes.cast(attr, ctypes.POINTER(ctypes.c_uint64))[0] = ctypes.addressof(name) if path else 0
    if libc.syscall(SYS_BPF, command, attr, 128) < 0:
        raise OSError(ctypes.get_errno(), "bpf")


def mount_bpffs():
    if libc.mount(b"none", b"/sys/fs/bpf", b"bpf", 0, None) < 0:
        raise OSError(ctypes.get_errno(), "mount")


def control(path):
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)


def main(host, port, other, path, pin):
    port = int(port)
    mark = (socket.SOL_SOCKET, SO_MARK, ROUTE_MARK)
    transparent = (socket.IPPROTO_IP, IP_TRANSPARENT, 1)
    tried("plain", dial, host, port)
    tried("mark", dial, host, port, mark)
    for reserved in 15001, 15006, 15008:
        tried(f"mark-{reserved}", dial, host, reserved, mark)
    tried("transparent", lambda: dial(host, port, transparent, mark, source=other))
    tried("maps", bpf, MAP_GET_NEXT_ID)
    tried("progs", bpf, PROG_GET_NEXT_ID)
    tried("pinned", bpf, OBJ_GET, pin.encode())
    tried("bpffs", mount_bpffs)
    tried("control", control, path)
    tried("abstract", control, "\0" + path)
    tried("listed", lambda: os.listdir("/sys/fs/bpf") or control("/nothing"))


main(*sys.argv[1:])
