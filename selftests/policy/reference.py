# SPDX-License-Identifier: Apache-2.0
"""What L4 authorization means, written a second time, from the description alone.

The sources are the message set istio.security.Authorization, docs/mesh-file.md and decision
0013 (where Weft denies instead of guessing), not user/policy/. It is slow and says one thing
per line; check.py compares it with the evaluator of the daemon.

A policy is the message as a dict:
  {name, namespace, scope: GLOBAL|NAMESPACE|WORKLOAD_SELECTOR, action: ALLOW|DENY, dry_run,
   rules: [[[match, ...], ...], ...]}     rules -> clauses -> matches
A match has any of the lists in FIELDS. String matches are {"exact"|"prefix"|"suffix": text} or
{"presence": {}}, addresses "ip/length", ports numbers, service accounts [namespace, name].

A connection: {src_ip, dst_ip, dst_port, identity: "td/ns/NS/sa/SA" or None}
"""
import ipaddress
from functools import lru_cache

FIELDS = ("namespaces", "principals", "source_ips", "destination_ips", "destination_ports",
          "service_accounts")


class Peer:
    """The proven identity of the other side, or none."""

    def __init__(self, identity):
        self.principal = identity
        self.namespace = ""
        self.account = None
        if identity is not None:
            _, _, self.namespace, _, account = identity.split("/")
            self.account = (self.namespace, account)


@lru_cache(maxsize=None)
def address(text):
    """Addresses of IPv4 that are written as IPv6 are addresses of IPv4."""
    ip = ipaddress.ip_address(text)
    return getattr(ip, "ipv4_mapped", None) or ip


@lru_cache(maxsize=None)
def network(text):
    net = ipaddress.ip_network(text, strict=False)
    mapped = getattr(net.network_address, "ipv4_mapped", None)
    if mapped and net.prefixlen >= 96:
        return ipaddress.ip_network((mapped, net.prefixlen - 96))
    return net


def text_matches(match, text):
    (kind, want), = match.items()
    if kind == "presence":
        return text != ""
    return {"exact": text == want, "prefix": text.startswith(want),
            "suffix": text.endswith(want)}[kind]


def namespace_hits(entry, connection, peer):
    return text_matches(entry, peer.namespace)


def principal_hits(entry, connection, peer):
    return peer.principal is not None and text_matches(entry, peer.principal)


def service_account_hits(entry, connection, peer):
    return peer.account is not None and tuple(entry) == peer.account


def source_ip_hits(entry, connection, peer):
    return address(connection["src_ip"]) in network(entry)


def destination_ip_hits(entry, connection, peer):
    return address(connection["dst_ip"]) in network(entry)


def destination_port_hits(entry, connection, peer):
    return entry == connection["dst_port"]


HITS = {
    "namespaces": namespace_hits,
    "principals": principal_hits,
    "service_accounts": service_account_hits,
    "source_ips": source_ip_hits,
    "destination_ips": destination_ip_hits,
    "destination_ports": destination_port_hits,
}


def match_matches(match, connection, peer):
    lists = {name: entries for name, entries in match.items() if entries}
    if not lists:
        return False                    # nothing is asked for: it is skipped

    def satisfied(name, entries):
        negative = name.startswith("not_")
        hit = any(HITS[name.removeprefix("not_")](e, connection, peer) for e in entries)
        return hit != negative

    return all(satisfied(name, entries) for name, entries in lists.items())


def clause_matches(clause, connection, peer):
    return not clause or any(match_matches(m, connection, peer) for m in clause)


def rule_matches(rule, connection, peer):
    return all(clause_matches(c, connection, peer) for c in rule)


def matching_rule(policy, connection, peer):
    """Number of the first rule that matches, or None. Without rules nothing does."""
    for number, rule in enumerate(policy["rules"]):
        if rule_matches(rule, connection, peer):
            return number
    return None


def key_of(policy):
    return policy["namespace"] + "/" + policy["name"]


def applicable(policies, workload):
    """Those the workload names, then those of the mesh, then those of its namespace; and the
    first name that nobody has."""
    by_key = {key_of(p): p for p in policies}
    missing = next((k for k in workload["policies"] if k not in by_key), None)
    named = [by_key[k] for k in workload["policies"] if k in by_key]
    in_order = sorted(policies, key=key_of)
    mesh = [p for p in in_order if p["scope"] == "GLOBAL"]
    own = [p for p in in_order if p["scope"] == "NAMESPACE" and
           p["namespace"] == workload["namespace"]]
    return named + mesh + own, missing


def evaluate(policies, workload, connection):
    """(allowed, key of the policy that decided or "", its rule or -1)"""
    candidates, missing = applicable(policies, workload)
    if missing is not None:
        return False, missing, -1
    peer = Peer(connection["identity"])
    live = [p for p in candidates if not p["dry_run"]]
    for action, verdict in ("DENY", False), ("ALLOW", True):
        of_action = [p for p in live if p["action"] == action]
        for policy in of_action:
            rule = matching_rule(policy, connection, peer)
            if rule is not None:
                return verdict, key_of(policy), rule
    if any(p["action"] == "ALLOW" for p in live):
        return False, "", -1
    return True, "", -1
