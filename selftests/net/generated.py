#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Generated policy sets for real connections, with the reference's verdict for each of them.

    generated.py lab                        the lab file without policies (JSON)
    generated.py make DIR SETS SEED <STATUS  DIR/N.lab, .table, .SOURCE and .want for each set N;
                                            STATUS is `weft lab status -o json`
    generated.py serve                      echo on all ports, both families
    generated.py dial <LIST                 LIST: [[ip, port], ...]; prints what became of each
    generated.py compare DIR N              against .want; prints what is different

Sets come from selftests/policy/cases.py; those that allow or deny nearly everything are passed
over. Each connection is made twice, because the second one of a pair is often decided by the
kernel from what the relay cached for the first.
"""
import asyncio
import json
import os
import random
import socket
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "policy"))
import cases  # noqa: E402
import reference  # noqa: E402

PORTS = [9000, 9001, 9002, 9003]
DECLARED = {80: 9000, 81: 9001}  # of services: verdicts for these are made beforehand
PODS = [  # name, namespace, service account, node, enrolled
    ("red1", "a", "red", "node1", True),
    ("blue1", "ab", "blue", "node1", True),
    ("green1", "b", "red", "node1", True),
    ("red2", "a", "red", "node2", True),
    ("blue2", "b", "blue", "node2", True),
    ("plain1", "a", "red", "node1", False),
    ("plain2", "ab", "blue", "node2", False),
]
ME = os.path.abspath(__file__)
TWICE = 2
IN_FLIGHT = 8  # connections of one client at a time
SHARE = 0.2    # of the connections, that must be allowed, and that must be denied


def lab(policies=(), named=None):
    pods = [{"name": n, "namespace": ns, "serviceAccount": sa, "node": node, "enrol": enrolled,
             "start": "before", "command": f"exec /usr/bin/python3 {ME} serve",
             "labels": {"app": n}, "policies": (named or {}).get(f"{ns}/{n}", [])}
            for n, ns, sa, node, enrolled in PODS]
    services = [{"name": n, "namespace": ns, "ports": DECLARED, "selector": {"app": n}}
                for n, ns, _, _, enrolled in PODS if enrolled]
    return {"nodes": ["node1", "node2"], "pods": pods, "services": services,
            "policies": list(policies)}


# ---- sets

def world_of(status):
    ips = {p["name"]: p["ips"] for p in status["pods"]}
    return {n: dict(cases.workload(n, ns, sa, "cluster.local", ips[n], PORTS), enrolled=enrolled)
            for n, ns, sa, _, enrolled in PODS}


def connections(world):
    for src in world.values():
        for dst in world.values():
            if src is dst or not dst["enrolled"]:
                continue
            for src_ip, dst_ip in zip(src["ips"], dst["ips"]):
                for port in PORTS:
                    yield src, dst, {
                        "src_ip": src_ip, "dst_ip": dst_ip, "dst_port": port,
                        "identity": cases.identity(src) if src["enrolled"] else None}


def key(w):
    return f"{w['namespace']}/{w['name']}"


def one_set(maker, world):
    policies = [maker.policy(i) for i in range(maker.one(2, 3, 4, 6, 10))]
    named = {key(w): maker.named(policies) for w in world.values() if w["enrolled"]}
    rows = []
    for src, dst, c in connections(world):
        binding = {"namespace": dst["namespace"], "policies": named[key(dst)]}
        allow, policy, rule = reference.evaluate(policies, binding, c)
        rows.append({"src": src["name"], "src_ip": c["src_ip"], "dst": dst["name"],
                     "dst_ip": c["dst_ip"], "port": c["dst_port"], "allow": allow,
                     "policy": policy, "rule": rule})
    return policies, named, rows


def to_text(row):
    ip = row["dst_ip"]
    return f"[{ip}]:{row['port']}" if ":" in ip else f"{ip}:{row['port']}"


def write(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f)


def write_set(folder, n, made):
    policies, named, rows = made
    write(f"{folder}/{n}.lab", lab([cases.mesh_policy(p) for p in policies], named))
    write(f"{folder}/{n}.want", rows)
    write(f"{folder}/{n}.table", [
        {"from": r["src_ip"], "to": to_text(r), "expect": "allow" if r["allow"] else "deny",
         "policy": r["policy"]} for r in rows])
    for name, *_ in PODS:
        write(f"{folder}/{n}.{name}",
              [[r["dst_ip"], r["port"]] for r in rows if r["src"] == name])


def make(folder, count, seed):
    world = world_of(json.load(sys.stdin))
    maker = cases.Maker(cases.World(list(world.values())), seed)
    n = total = allowed = 0
    while n < count:
        made = one_set(maker, world)
        share = sum(r["allow"] for r in made[2]) / len(made[2])
        if not SHARE <= share <= 1 - SHARE:
            continue
        write_set(folder, n, made)
        n += 1
        total += TWICE * len(made[2])
        allowed += TWICE * sum(r["allow"] for r in made[2])
    print(total, allowed)


# ---- connections

async def echo(reader, writer):
    try:
        while data := await reader.read(4096):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve():
    servers = []
    for port in PORTS:
        s = socket.socket(socket.AF_INET6)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        s.bind(("::", port))
        servers.append(await asyncio.start_server(echo, sock=s, backlog=256))
    await asyncio.gather(*(s.serve_forever() for s in servers))


async def dial(ip, port):
    """allow: what was sent came back; deny: refused, reset or ended without a byte."""
    want = f"{ip} {port} {random.random()}\n".encode()
    writer = None
    try:
        reader, writer = await asyncio.open_connection(ip, port)
        writer.write(want)
        got = await reader.readline()
        return "allow" if got == want else "deny" if not got else f"other bytes: {got!r}"
    except (ConnectionRefusedError, ConnectionResetError, BrokenPipeError):
        return "deny"
    except OSError as e:
        return f"{type(e).__name__}: {e}"
    finally:
        if writer:
            writer.close()


async def dial_all(pairs):
    limit = asyncio.Semaphore(IN_FLIGHT)
    out = [[] for _ in pairs]

    async def one(i):
        # The two of a pair one after the other: the first may fill the kernel's cache.
        async with limit:
            for _ in range(TWICE):
                try:
                    said = await asyncio.wait_for(dial(*pairs[i]), 20)
                except asyncio.TimeoutError:
                    said = "no answer in 20 s"
                out[i].append(said)

    order = list(range(len(pairs)))
    random.shuffle(order)
    await asyncio.gather(*(one(i) for i in order))
    return out


def compare(folder, n):
    with open(f"{folder}/{n}.want", encoding="utf-8") as f:
        rows = json.load(f)
    made = 0
    for name, *_ in PODS:
        with open(f"{folder}/{n}.{name}.got", encoding="utf-8") as f:
            got = json.load(f)
        for row, said in zip([r for r in rows if r["src"] == name], got, strict=True):
            made += len(said)
            if any(s != ("allow" if row["allow"] else "deny") for s in said):
                print(f"set {n}: {row['src']} {row['src_ip']} to {row['dst']} {to_text(row)}: "
                      f"{', '.join(said)}; the reference: {row}")
    print(made)


def main():
    what, *args = sys.argv[1:]
    if what == "lab":
        json.dump(lab(), sys.stdout)
    elif what == "make":
        make(args[0], int(args[1]), int(args[2]))
    elif what == "serve":
        asyncio.run(serve())
    elif what == "dial":
        json.dump(asyncio.run(dial_all(json.load(sys.stdin))), sys.stdout)
    elif what == "compare":
        compare(args[0], args[1])


if __name__ == "__main__":
    main()
