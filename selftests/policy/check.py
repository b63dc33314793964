#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares the evaluator of the daemon with the reference on generated cases.

A disagreement is made as small as it gets and printed with both answers; --seed repeats a run.
Ends with 1 on a disagreement, and also if a field, a kind of match or an empty case did not
occur, because then the run would prove less than it says.
"""
import argparse
import copy
import json
import os
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor

import cases
import reference


class Evaluator:
    """The filter evaluate.c, kept running."""

    def __init__(self, path):
        self.path = path
        self.process = None

    def ask(self, case):
        if self.process is None:
            self.process = subprocess.Popen([self.path], stdin=subprocess.PIPE, text=True,
                                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self.process.stdin.write(json.dumps(request(case)) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if line:
            return json.loads(line)
        message = self.process.stderr.read()[-2000:]
        self.process.wait()
        self.process = None
        return "the evaluator died: " + message


def request(case):
    workloads = [{"uid": f"{w['namespace']}/{w['name']}", "name": w["name"],
                  "namespace": w["namespace"], "serviceAccount": w["serviceAccount"],
                  "trustDomain": w["trustDomain"], "workloadIps": w["ips"],
                  **({"authorizationPolicies": case["named"]} if w is case["dst"] else {})}
                 for w in (case["dst"],)]
    return {
        "mesh": {"workloads": workloads,
                 "policies": [cases.mesh_policy(p) for p in case["policies"]]},
        "dst": workloads[0]["uid"],
        "connections": [[c["src_ip"], c["dst_ip"], c["dst_port"], c["identity"]]
                        for c in case["connections"]],
    }


# ---- what occurred

class Coverage:
    def __init__(self):
        self.seen = set()

    def policies(self, case):
        seen = self.seen
        of = {}
        for p in case["policies"]:
            for text in {json.dumps(c) for r in p["rules"] for c in r if c}:
                of.setdefault((p["scope"], p["action"], text), set()).add(reference.key_of(p))
        seen |= {"a clause of several policies" for keys in of.values() if len(keys) > 1}
        for p in case["policies"]:
            seen.add((p["scope"], p["action"], "dry run" if p["dry_run"] else "decides"))
            if not p["rules"]:
                seen.add("policy without rules")
            for rule in p["rules"]:
                if not rule:
                    seen.add("rule without clauses")
                for clause in rule:
                    if not clause:
                        seen.add("clause without matches")
                    for match in clause:
                        self.match(match)

    def match(self, match):
        if not match:
            self.seen.add("match without lists")
        elif not any(match.values()):
            self.seen.add("match with empty lists only")
        for name, entries in match.items():
            if not entries:
                self.seen.add((name, "empty list"))
            for e in entries:
                if isinstance(e, dict):
                    kind, = e
                    self.seen.add((name, kind))
                    if e[kind] == "":
                        self.seen.add((name, kind, "empty text"))
                elif isinstance(e, str):
                    self.seen.add((name, "IPv6" if ":" in e else "IPv4"))
                    if "ffff" in e:
                        self.seen.add((name, "mapped"))

    def answer(self, case, connection, answer):
        allow, policy, rule = answer
        what = "rule" if rule >= 0 else "missing" if policy else "default"
        peer = "identity" if connection["identity"] else "plaintext"
        family = "IPv6" if ":" in connection["src_ip"] else "IPv4"
        self.seen.add((allow, what, peer, family))

    @staticmethod
    def wanted():
        want = {"policy without rules", "rule without clauses", "clause without matches",
                "match without lists", "match with empty lists only",
                "a clause of several policies"}
        want |= {(s, a, d) for s in cases.SCOPES for a in cases.ACTIONS
                 for d in ("dry run", "decides")}
        for field in reference.FIELDS:
            for name in field, "not_" + field:
                want.add((name, "empty list"))
                want |= {(name, "hit"), (name, "no hit")}
                if field in ("namespaces", "principals"):
                    want |= {(name, k) for k in ("exact", "prefix", "suffix", "presence")}
                    want |= {(name, k, "empty text") for k in ("exact", "prefix", "suffix")}
                if field.endswith("_ips"):
                    want |= {(name, k) for k in ("IPv4", "IPv6", "mapped")}
        for peer in "identity", "plaintext":
            for family in "IPv4", "IPv6":
                want |= {(True, "rule", peer, family), (False, "rule", peer, family),
                         (True, "default", peer, family), (False, "default", peer, family),
                         (False, "missing", peer, family)}
        return want


def watch_hits(case, seen):
    """Each entry of the case against its first connection."""
    c = case["connections"][0]
    peer = reference.Peer(c["identity"])
    for p in case["policies"]:
        for m in (m for r in p["rules"] for cl in r for m in cl):
            for name, entries in m.items():
                for e in entries:
                    hit = reference.HITS[name.removeprefix("not_")](e, c, peer)
                    seen.add((name, "hit" if hit else "no hit"))


# ---- making a disagreement small

def smaller(case):
    """Cases with one thing less, the largest things first."""
    def without(path):
        out = copy.deepcopy(case)
        out["dst"] = case["dst"]
        *way, last = path
        at = out
        for step in way:
            at = at[step]
        del at[last]
        return out

    def lists(at, path):
        if isinstance(at, list):
            for i in range(len(at)):
                yield path + [i]
        if isinstance(at, dict) and path and path[-1] != "rules":
            for k in at:
                if k in reference.FIELDS or k.startswith("not_"):
                    yield path + [k]
        items = enumerate(at) if isinstance(at, list) else at.items() if isinstance(at, dict) else ()
        for k, v in items:
            if isinstance(v, (list, dict)) and k != "service_accounts" and k != "not_service_accounts":
                yield from lists(v, path + [k])

    for part in "connections", "named", "policies":
        for path in sorted(lists(case[part], [part]), key=len):
            yield without(path)


def shrink(case, evaluator):
    progress = True
    while progress:
        progress = False
        for c in smaller(case):
            if c["connections"] and disagreement(c, evaluator) is not None:
                case, progress = c, True
                break
    return case


def disagreement(case, evaluator):
    """None, or the number of the first connection on which they differ, and both answers."""
    got, want = evaluator.ask(case), cases.answers(case)
    if got == want:
        return None
    if not isinstance(got, list):
        return 0, got, want
    i = next(i for i, (a, b) in enumerate(zip(got, want)) if a != b)
    return i, got[i], want[i]


def report(case, evaluator, small):
    if small:
        case = shrink(case, evaluator)
    i, got, want = disagreement(case, evaluator)
    c = {k: v for k, v in case["connections"][i].items() if k != "src"}
    return (f"DISAGREEMENT\npolicies: {json.dumps([cases.mesh_policy(p) for p in case['policies']])}\n"
            f"workload of {case['dst']['namespace']} names: {case['named']}\n"
            f"connection: {json.dumps(c)}\nevaluator: {got}\nreference: {want}")


def run(path, seed, pairs, per_set, small):
    evaluator, maker, cov = Evaluator(path), cases.Maker(cases.World(), seed), Coverage()
    for number in range((pairs + per_set - 1) // per_set):
        case = maker.case(per_set)
        want, got = cases.answers(case), evaluator.ask(case)
        if got != want:
            return cov.seen, report(case, evaluator, small)
        if number % 10 == 0:
            cov.policies(case)
            watch_hits(case, cov.seen)
            for c, a in zip(case["connections"], want):
                cov.answer(case, c, a)
    return cov.seen, None


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--evaluator", required=True, help="the program made of evaluate.c")
    p.add_argument("--pairs", type=int, default=100000)
    p.add_argument("--per-set", type=int, default=40, help="connections for each set of policies")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--quick", action="store_true",
                   help="print a disagreement as it is, do not ask for features")
    p.add_argument("--jobs", type=int, default=os.cpu_count())
    a = p.parse_args()
    start, seen, bad = time.monotonic(), set(), []
    with ProcessPoolExecutor(a.jobs) as pool:
        share = (a.pairs + a.jobs - 1) // a.jobs
        runs = [pool.submit(run, a.evaluator, a.seed * 1000 + i, share, a.per_set,
                            not a.quick)
                for i in range(a.jobs)]
        for r in runs:
            s, text = r.result()
            seen |= s
            if text:
                bad.append(text)
    for text in bad:
        print(text)
    not_seen = [] if a.quick else sorted(map(str, Coverage.wanted() - seen))
    if not bad and not_seen:
        print("did not occur: " + ", ".join(not_seen))
    print(f"{a.pairs} pairs, {len(bad)} disagreements, {len(Coverage.wanted()) - len(not_seen)} of "
          f"{len(Coverage.wanted())} features, {time.monotonic() - start:.1f} s")
    return 1 if bad or not_seen else 0


if __name__ == "__main__":
    sys.exit(main())
