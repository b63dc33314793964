#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Turns single conditions of the policy evaluator around and looks whether a test notices.

Mutations are made from the source, one at a time, in a copy of the tree below build/: each
comparison is negated and moved by one, && and || are exchanged, a '!' is left out, true and
false are exchanged. Then the unit tests of the evaluator and a short comparison with the
reference run. A mutant that survives is a failure, unless equivalent.txt says why nothing can
notice it.
"""
import argparse
import os
import re
import shutil
import subprocess
import sys

SOURCES = ["user/policy/match.c", "user/policy/rbac.c", "user/policy/explain.c",
           "user/model/policykey.c", "user/model/policies.c", "user/model/policies.h",
           "user/model/postings.c",
           "user/base/ip.c:ip_in_prefix"]
UNIT = ["policy_rbac", "policy_explain", "policy_dryrun", "model_policies", "model_postings", "model_snap"]
SWAPS = [
    (r"(?<![=!<>])==(?!=)", ["!="]), (r"!=", ["=="]),
    (r"&&", ["||"]), (r"\|\|", ["&&"]),
    (r"(?<![<\-])<=(?!=)", ["<", ">"]), (r"(?<![>\-])>=", [">", "<"]),
    (r"(?<= )<(?= )", ["<=", ">="]), (r"(?<= )>(?= )", [">=", "<="]),
    (r"!(?=[a-zA-Z(*])", [""]),
    (r"\btrue\b", ["false"]), (r"\bfalse\b", ["true"]),
    (r"\bbreak;", [";"]), (r"\bcontinue;", [";"]),
    (r" \+ 1\b", [""]), (r" - 1\b", [""]),
]


def code_of(text):
    """The text with comments, strings and preprocessor lines blanked out, in place."""
    blank = lambda m: re.sub(r"[^\n]", " ", m.group())
    text = re.sub(r"/\*.*?\*/|//[^\n]*", blank, text, flags=re.S)
    text = re.sub(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\])*\'', blank, text)
    return re.sub(r"^#(?:[^\n]*\\\n)*[^\n]*", blank, text, flags=re.M)


def function_span(text, name):
    if not name:
        return 0, len(text)
    start = re.search(rf"^\w[^\n;]*\b{name}\([^;]*?^{{", text, re.M).start()
    return start, text.index("\n}", start)


def mutations(path):
    file, _, function = path.partition(":")
    with open(file, encoding="utf-8") as f:
        text = f.read()
    code = code_of(text)
    start, end = function_span(code, function)
    for pattern, others in SWAPS:
        for m in re.finditer(pattern, code):
            if not start <= m.start() < end:
                continue
            line_at = text.rfind("\n", 0, m.start()) + 1
            line_end = text.index("\n", m.start())
            for other in others:
                new = text[:m.start()] + other + text[m.end():]
                yield {
                    "file": file, "text": new, "line": text.count("\n", 0, m.start()) + 1,
                    "behind": text[:line_at].rstrip("\n").rpartition("\n")[2].strip(),
                    "was": text[line_at:line_end].strip(),
                    "is": new[line_at:line_end + len(other) - len(m.group())].strip(),
                }


def equivalents(path):
    """{(file, behind, was, is): reason} of paragraphs "file", "behind: LINE" where the line alone
    does not say which, "was", "is", "reason..."."""
    with open(path, encoding="utf-8") as f:
        text = "\n".join(l for l in f.read().split("\n") if not l.startswith("#"))
    out = {}
    for part in text.split("\n\n"):
        lines = [l.strip() for l in part.strip("\n").split("\n")]
        if len(lines) > 1 and lines[1].startswith("behind: "):
            lines[1] = lines[1].removeprefix("behind: ")
        else:
            lines.insert(1, "")
        if len(lines) >= 5:
            out[tuple(lines[:4])] = " ".join(lines[4:])
    return out


class Bench:
    """A copy of the tree, built once; then one file at a time differs."""

    def __init__(self, work, pairs):
        self.work, self.pairs = work, pairs
        os.makedirs(work, exist_ok=True)
        for part in "user", "include", "bpf", "selftests", "tools", "vmlinux", "docs":
            shutil.copytree(part, f"{work}/{part}", dirs_exist_ok=True)
        shutil.copy("Makefile", work)
        for source in SOURCES:          # one may have been left turned around by an earlier run
            os.utime(f"{work}/{source.partition(':')[0]}")
        # With sanitizers: a loop that runs one too far is noticed, too.
        self.out = "build/san-address-undefined"
        self.targets = ["policy-evaluate"] + [f"{self.out}/unit/{u}" for u in UNIT]

    def build(self):
        env = {k: v for k, v in os.environ.items() if not k.startswith(("MAKE", "MFLAGS"))}
        return self.call(["make", "-s", "-j2", "O=build", "SAN=address,undefined",
                          "CFLAGS=-O1 -g0 -w"] + self.targets, 600, env)

    def call(self, command, limit, env=None):
        try:
            r = subprocess.run(command, cwd=self.work, timeout=limit, env=env, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
            return r.returncode, r.stdout
        except subprocess.TimeoutExpired:
            return 124, "no end"

    def noticed(self):
        """Who notices, or None."""
        status, text = self.build()
        if status:
            return "the compiler"
        for unit in UNIT:
            if self.call([f"{self.out}/unit/{unit}"], 60)[0]:
                return "unit/" + unit
        status, text = self.call(["selftests/policy/check.py", "--evaluator",
                                  f"{self.out}/policy-evaluate", "--pairs", str(self.pairs),
                                  "--quick"], 120)
        return "the reference" if status else None

    def put(self, file, text):
        with open(f"{self.work}/{file}", "w", encoding="utf-8") as f:
            f.write(text)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    p.add_argument("--work", default="build/mutation")
    p.add_argument("--pairs", type=int, default=40000)
    p.add_argument("--list", action="store_true", help="only show them")
    p.add_argument("--only", default="", help="only lines with this text")
    p.add_argument("--part", default="1/1", help="2/3: the second third of them")
    a = p.parse_args()
    here = os.path.dirname(os.path.abspath(__file__))
    os.chdir(os.path.join(here, "../.."))
    all_of = [m for s in SOURCES for m in mutations(s) if a.only in m["was"]]
    part, parts = map(int, a.part.split("/"))
    all_of = all_of[part - 1::parts]
    known = equivalents(os.path.join(here, "equivalent.txt"))
    if a.list:
        for m in all_of:
            print(f"{m['file']}:{m['line']}: {m['was']}  ->  {m['is']}")
        return 0
    bench = Bench(a.work, a.pairs)
    who = bench.noticed()
    if who:
        print(f"the unchanged tree fails: {who}")
        return 1
    count, survived, used = {}, [], set()
    for m in all_of:
        with open(m["file"], encoding="utf-8") as f:
            original = f.read()
        keys = {(m["file"], behind, m["was"], m["is"]) for behind in ("", m["behind"])}
        if keys & known.keys():
            used |= keys & known.keys()
            count["equivalent"] = count.get("equivalent", 0) + 1
            continue
        bench.put(m["file"], m["text"])
        who = bench.noticed()
        bench.put(m["file"], original)
        count[who or "nobody"] = count.get(who or "nobody", 0) + 1
        if not who:
            survived.append(m)
            print(f"SURVIVED {m['file']}:{m['line']}\n  {m['was']}\n  {m['is']}", flush=True)
    unused = known.keys() - used if parts == 1 and not a.only else ()
    for key in unused:
        print(f"equivalent.txt names what is not there: {key}")
    print(f"{len(all_of)} mutations: " + ", ".join(f"{v} by {k}" for k, v in sorted(count.items())))
    return 1 if survived or unused else 0


if __name__ == "__main__":
    sys.exit(main())
