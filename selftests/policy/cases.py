#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes policy sets and connections for the reference (reference.py): every field, every kind
of match, every empty case, from few values, so that they hit.

As a program it writes one JSON object per line, with policies in the form of the mesh file and
with the expected answers. For real connections give it the workloads of a lab:

  cases.py --count 2000 --workloads lab.json

lab.json is a list of {name, namespace, serviceAccount, trustDomain, ips: [...], ports: [...]}.
A line then is
  {"policies": [...],                        for "policies:" of the mesh file
   "authorizationPolicies": {"ns/name": [...]},  for that workload, by its namespace and name
   "connections": [{"src": "ns/name", "dst": "ns/name", "src_ip", "dst_ip", "port", "mtls",
                    "expect": {"allow", "policy", "rule"}}]}
where mtls false means: as a peer outside of the mesh would come, without an identity.
"""
import argparse
import copy
import json
import random
import sys

import reference

SCOPES = {"GLOBAL": "Global", "NAMESPACE": "Namespace", "WORKLOAD_SELECTOR": "WorkloadSelector"}
ACTIONS = {"ALLOW": "Allow", "DENY": "Deny"}
CAMEL = {
    "namespaces": "namespaces", "principals": "principals", "source_ips": "sourceIps",
    "destination_ips": "destinationIps", "destination_ports": "destinationPorts",
    "service_accounts": "serviceAccounts",
}


class World:
    """Values that policies and connections are made of."""

    def __init__(self, workloads=None):
        self.workloads = workloads or [
            workload("client", "a", "red", "cluster.local", ["10.0.0.1", "fd00::1"], [80]),
            workload("other", "ab", "red", "td", ["10.0.1.2", "fd00:0:0:1::2"], [81]),
            workload("third", "b", "blue", "cluster.local", ["10.1.0.3", "fd00:1::3"], [443]),
            # names that look like the joints of an identity
            workload("odd", "ns", "sa", "ns", ["10.0.1.9", "fd00:0:0:1::9"], [80]),
            workload("server", "b", "default", "cluster.local",
                     ["192.168.7.4", "2001:db8::4"], [80, 8080]),
        ]
        w = self.workloads
        self.namespaces = sorted({x["namespace"] for x in w})
        self.accounts = sorted({x["serviceAccount"] for x in w})
        self.identities = [identity(x) for x in w]
        self.ips = [ip for x in w for ip in x["ips"]]
        self.ports = sorted({p for x in w for p in x["ports"]})


def workload(name, namespace, account, domain, ips, ports):
    return {"name": name, "namespace": namespace, "serviceAccount": account,
            "trustDomain": domain, "ips": ips, "ports": ports}


def identity(w):
    return f"{w['trustDomain']}/ns/{w['namespace']}/sa/{w['serviceAccount']}"


class Maker:
    def __init__(self, world, seed):
        self.world = world
        self.rng = random.Random(seed)

    def one(self, *of):
        return self.rng.choice(of)

    def chance(self, p):
        return self.rng.random() < p

    # ---- entries of lists

    def text(self, values):
        """A string match that often hits one of the values, and sometimes nearly."""
        whole = self.rng.choice(values)
        at = self.rng.randint(0, len(whole))
        kind = self.rng.choice(("exact", "exact", "prefix", "suffix", "presence"))
        if kind == "presence":
            return {"presence": {}}
        if kind == "exact":
            near = (whole, whole, whole, whole + "x", whole[:at], "")
            return {"exact": self.rng.choice(near)}
        part = whole[:at] if kind == "prefix" else whole[at:]
        if self.chance(0.3):            # where identities have their joints
            cuts = [i for i, c in enumerate(whole) if c == "/"] or [at]
            cut = self.rng.choice(cuts) + self.rng.randint(0, 1)
            part = whole[:cut] if kind == "prefix" else whole[cut - 1 if cut else 0:]
        return {kind: part + self.one("", "", "", "", "x")}

    def range(self):
        ip = self.rng.choice(self.world.ips + ["1.2.3.4", "fe80::9"])
        if ":" in ip:
            length = self.one(0, 1, 16, 31, 32, 33, 47, 48, 63, 64, 80, 95, 96, 104, 127, 128)
        else:
            length = self.one(0, 1, 7, 8, 9, 15, 16, 17, 23, 24, 25, 31, 32)
            if self.chance(0.05):
                return f"::ffff:{ip}/{96 + length}"
        return f"{ip}/{length}"

    def entry(self, field):
        rng, world = self.rng, self.world
        if field == "namespaces":
            return self.text(world.namespaces)
        if field == "principals":
            return self.text(world.identities)
        if field == "destination_ports":
            return rng.choice(world.ports + [1, 65535])
        if field == "service_accounts":
            return [rng.choice(world.namespaces + ["x"]), rng.choice(world.accounts + ["x"])]
        return self.range()

    # ---- policies

    def match(self):
        """Any of the twelve lists; sometimes none, sometimes empty ones."""
        n = self.one(0, 1, 1, 1, 1, 2, 2, 3)
        names = [f for f in reference.FIELDS] + ["not_" + f for f in reference.FIELDS]
        return {name: [self.entry(name.removeprefix("not_"))
                       for _ in range(self.one(0, 1, 1, 1, 1, 2, 2, 3))]
                for name in self.rng.sample(names, n)}

    def rules(self):
        return [[[self.match() for _ in range(self.one(0, 1, 1, 1, 2, 3))]
                 for _ in range(self.one(0, 1, 1, 1, 2, 3))]
                for _ in range(self.one(0, 1, 1, 1, 2, 3))]

    def policy(self, number):
        return {
            "name": f"p{number}", "namespace": self.rng.choice(self.world.namespaces + ["root"]),
            "scope": self.rng.choice(list(SCOPES)), "action": self.rng.choice(list(ACTIONS)),
            "dry_run": self.chance(0.1), "rules": self.rules(),
        }

    def named(self, policies):
        """What a workload names: mostly those of scope WORKLOAD_SELECTOR, sometimes others,
        sometimes one twice, rarely one that does not exist."""
        keys = [reference.key_of(p) for p in policies
                if self.chance(0.8 if p["scope"] == "WORKLOAD_SELECTOR" else 0.1)]
        self.rng.shuffle(keys)
        if keys and self.chance(0.1):
            keys.append(keys[0])
        if self.chance(0.03):
            keys.insert(self.rng.randint(0, len(keys)), self.one("b/gone", "root/p99"))
        return keys

    def connection(self, dst):
        src = self.rng.choice(self.world.workloads)
        dst_ip = self.rng.choice(dst["ips"])
        same = [ip for ip in src["ips"] if (":" in ip) == (":" in dst_ip)]
        src_ip = self.rng.choice(same or src["ips"])
        return {
            "src": src, "src_ip": src_ip, "dst_ip": dst_ip,
            "dst_port": self.rng.choice(dst["ports"]),
            "identity": identity(src) if self.chance(0.8) else None,
        }

    def share(self, policies):
        """Gives rules clauses of others: an evaluator may look at rules of one clause together."""
        clauses = [c for p in policies for r in p["rules"] for c in r]
        rules = [r for p in policies for r in p["rules"]]
        clause = self.rng.choice(clauses) if clauses else None
        for rule in self.rng.sample(rules, self.rng.randint(0, len(rules)) if clauses else 0):
            rule.insert(self.rng.randint(0, len(rule)), copy.deepcopy(clause))

    def case(self, n_connections):
        policies = [self.policy(i) for i in range(self.one(0, 1, 1, 2, 2, 3, 4, 6, 10))]
        if self.chance(0.3):
            self.share(policies)
        dst = self.rng.choice(self.world.workloads)
        return {
            "policies": policies, "dst": dst, "named": self.named(policies),
            "connections": [self.connection(dst) for _ in range(n_connections)],
        }


def answers(case):
    w = {"namespace": case["dst"]["namespace"], "policies": case["named"]}
    return [list(reference.evaluate(case["policies"], w, c)) for c in case["connections"]]


# ---- the form of the mesh file

def mesh_text(match, short):
    (kind, want), = match.items()
    if kind == "presence":
        return "*" if short else {"Presence": []}
    if short and want and "*" not in want:
        return {"exact": want, "prefix": want + "*", "suffix": "*" + want}[kind]
    return {kind.capitalize(): want}


def mesh_entry(field, entry, short):
    if field in ("namespaces", "principals"):
        return mesh_text(entry, short)
    if field == "service_accounts":
        return "/".join(entry) if short else {"namespace": entry[0], "serviceAccount": entry[1]}
    return entry


def mesh_match(match, short):
    out = {}
    for name, entries in match.items():
        field = name.removeprefix("not_")
        camel = CAMEL[field]
        if name != field:
            camel = "not" + camel[0].upper() + camel[1:]
        out[camel] = [mesh_entry(field, e, short) for e in entries]
    return out


def mesh_policy(p):
    short = len(p["rules"]) % 2 == 0    # both forms are used
    out = {"name": p["name"], "namespace": p["namespace"], "scope": SCOPES[p["scope"]],
           "action": ACTIONS[p["action"]],
           "rules": [[[mesh_match(m, short) for m in c] for c in r] for r in p["rules"]]}
    if p["dry_run"]:
        out["dryRun"] = True
    return out


def mesh_connection(case, connection, answer):
    src, dst = connection["src"], case["dst"]
    return {
        "src": f"{src['namespace']}/{src['name']}", "dst": f"{dst['namespace']}/{dst['name']}",
        "src_ip": connection["src_ip"], "dst_ip": connection["dst_ip"],
        "port": connection["dst_port"], "mtls": connection["identity"] is not None,
        "expect": dict(zip(("allow", "policy", "rule"), answer)),
    }


def mesh_case(case):
    dst = case["dst"]
    return {
        "policies": [mesh_policy(p) for p in case["policies"]],
        "authorizationPolicies": {f"{dst['namespace']}/{dst['name']}": case["named"]},
        "connections": [mesh_connection(case, c, a)
                        for c, a in zip(case["connections"], answers(case))],
    }


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--count", type=int, default=1000, help="connections in all (default 1000)")
    p.add_argument("--per-set", type=int, default=10, help="of them for each set of policies")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--workloads", help="JSON file with workloads to use instead of built-in ones")
    a = p.parse_args()
    world = World()
    if a.workloads:
        with open(a.workloads, encoding="utf-8") as f:
            world = World(json.load(f))
    maker = Maker(world, a.seed)
    left = a.count
    while left > 0:
        n = min(a.per_set, left)
        print(json.dumps(mesh_case(maker.case(n))))
        left -= n


if __name__ == "__main__":
    try:
        main()
    except BrokenPipeError:
        sys.exit(0)
