#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Both ends of TCP connections that say what they see, for the network scenarios.

    peer.py serve PORT...           a server on all addresses of both families
    peer.py who HOST PORT           one connection: own= peer= seen= at= host=
    peer.py many N HOST PORT        N connections, one after the other: how many each host got
    peer.py try PORT,... HOST...    what each port of each host says: OK, EOF or an error's name
    peer.py hold HOST PORT          lines of stdin go there and back over one connection
    peer.py up|down BYTES HOST PORT bulk data, its checksum compared
    peer.py both BYTES HOST PORT    bulk data there and back at the same time

own and peer are what getsockname and getpeername say to the client, seen and at what
getpeername and getsockname say to the server. Options in front: -6, -m (an IPv6 socket
that dials the IPv4 address), -t SECONDS (20), -M MARK (SO_MARK of the client).
A client that fails prints the name of the error (ECONNREFUSED) and ends with 1.
"""
import collections
import errno
import socket
import sys
import threading
import zlib

PART = bytes(range(256)) * 256
OPTIONS = {"family": socket.AF_INET, "mapped": False, "timeout": 20.0, "mark": 0}


def plain(ip):
    return ip[7:] if ip.startswith("::ffff:") else ip


def text(name):
    ip, port = name[0], name[1]
    return f"{plain(ip)}:{port}" if "." in ip else f"[{ip}]:{port}"


def parts(n):
    while n > 0:
        part = PART[:n]
        n -= len(part)
        yield part


def send_bulk(s, n):
    crc = 0
    for part in parts(n):
        s.sendall(part)
        crc = zlib.crc32(part, crc)
    return crc


def receive_bulk(f, n):
    """Checksum of the n bytes that come; EOFError if fewer do."""
    crc = 0
    while n:
        data = f.read1(min(n, 262144))
        if not data:
            raise EOFError
        n -= len(data)
        crc = zlib.crc32(data, crc)
    return crc


def answer(s):
    with s, s.makefile("rb") as f:
        s.sendall(f"{socket.gethostname()} {text(s.getpeername())} {text(s.getsockname())}\n"
                  .encode())
        what, _, n = f.readline().decode().strip().partition(" ")
        if what == "up":
            s.sendall(f"{receive_bulk(f, int(n))}\n".encode())
        elif what == "down":
            s.sendall(f"{send_bulk(s, int(n))}\n".encode())
        elif what in ("both", "hold"):
            while True:
                data = f.read1(262144)
                if not data:
                    break
                s.sendall(data)


def answer_quietly(s):
    try:
        answer(s)
    except (OSError, EOFError, ValueError):
        pass


def listener(port):
    s = socket.socket(socket.AF_INET6)
    s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    s.bind(("::", port))
    s.listen(512)
    return s


def accept_all(s):
    while True:
        c, _ = s.accept()
        threading.Thread(target=answer_quietly, args=(c,), daemon=True).start()


def serve(ports):
    threads = [threading.Thread(target=accept_all, args=(listener(int(p)),)) for p in ports]
    for t in threads:
        t.start()
    for t in threads:
        t.join()


def dial(host, port):
    family = socket.AF_INET6 if ":" in host else OPTIONS["family"]
    address = socket.getaddrinfo(host, int(port), family, socket.SOCK_STREAM)[0][4]
    if OPTIONS["mapped"]:
        family = socket.AF_INET6
        address = ("::ffff:" + address[0], address[1])
    s = socket.socket(family)
    s.settimeout(OPTIONS["timeout"])
    if OPTIONS["mark"]:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, OPTIONS["mark"])
    s.connect(address)
    return s


def greeting(f):
    line = f.readline().decode().split()
    if len(line) != 3:
        raise EOFError
    return line


def who(host, port):
    with dial(host, port) as s:
        name, seen, at = greeting(s.makefile("rb"))
        print(f"own={text(s.getsockname())} peer={text(s.getpeername())} seen={seen} at={at} "
              f"host={name}")


def many(n, host, port):
    names = collections.Counter()
    for _ in range(int(n)):
        with dial(host, port) as s:
            names[greeting(s.makefile("rb"))[0]] += 1
    print(" ".join(f"{name}={count}" for name, count in sorted(names.items())))


def attempt(host, port):
    OPTIONS["family"] = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with dial(host, port) as s, s.makefile("rb") as f:
            greeting(f)
        return "OK"
    except EOFError:
        return "EOF"
    except socket.timeout:
        return "ETIMEDOUT"
    except OSError as e:
        return errno.errorcode.get(e.errno, str(e))


def attempts(ports, *hosts):
    for port in ports.split(","):
        for host in hosts:
            print(f"{host} {port} {attempt(host, port)}")


def hold(host, port):
    with dial(host, port) as s:
        f = s.makefile("rb")
        name, seen, at = greeting(f)
        s.sendall(b"hold\n")
        print(f"own={text(s.getsockname())} peer={text(s.getpeername())} seen={seen} at={at} "
              f"host={name}", flush=True)
        for line in sys.stdin.buffer:
            s.sendall(line)
            back = f.readline()
            if not back:
                raise EOFError
            sys.stdout.write(back.decode())
            sys.stdout.flush()


def bulk(what, n, host, port):
    with dial(host, port) as s:
        f = s.makefile("rb")
        greeting(f)
        s.sendall(f"{what} {n}\n".encode())
        if what == "up":
            mine = send_bulk(s, int(n))
            theirs = int(f.readline())
        elif what == "down":
            mine = receive_bulk(f, int(n))
            theirs = int(f.readline())
        else:
            sent = []
            t = threading.Thread(target=lambda: sent.append(send_bulk(s, int(n))), daemon=True)
            t.start()
            theirs = receive_bulk(f, int(n))
            t.join()
            mine = sent[0]
        if mine != theirs:
            print("CHECKSUM")
            sys.exit(1)
        print(f"{what} {n}")


def options(args):
    while args and args[0].startswith("-"):
        option = args.pop(0)
        if option == "-6":
            OPTIONS["family"] = socket.AF_INET6
        elif option == "-m":
            OPTIONS["mapped"] = True
        elif option == "-M":
            OPTIONS["mark"] = int(args.pop(0), 0)
        elif option == "-t":
            OPTIONS["timeout"] = float(args.pop(0))
        else:
            sys.exit(__doc__)
    return args


def main():
    args = options(sys.argv[1:])
    verbs = {"who": who, "many": many, "try": attempts, "hold": hold,
             "up": lambda *a: bulk("up", *a), "down": lambda *a: bulk("down", *a),
             "both": lambda *a: bulk("both", *a)}
    if len(args) > 1 and args[0] == "serve":
        serve(args[1:])
    elif args and args[0] in verbs:
        try:
            verbs[args[0]](*args[1:])
        except socket.timeout:
            print("ETIMEDOUT")
            sys.exit(1)
        except EOFError:
            print("EOF")
            sys.exit(1)
        except OSError as e:
            print(errno.errorcode.get(e.errno, str(e)))
            sys.exit(1)
    else:
        sys.exit(__doc__)


main()
