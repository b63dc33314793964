#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weft check on a good node, on nodes that lack something, beside a daemon and without one: each
# line says ok or what to do, JSON says the same, the exit code says whether anything fails, and
# nothing is left behind.
. "$(dirname "$0")/lib.sh"

tmp=$(mktemp -d)
trap 'code=$?; rm -rf "$tmp"; (exit $code); lib_end' EXIT

state_of() { # GROUP NAME FILE
	jq -r --arg g "$1" --arg n "$2" '.checks[] | select(.group == $g and .name == $n) | .state' "$3"
}

says() { # GROUP NAME STATE FILE
	expect_eq "$(state_of "$1" "$2" "$4")" "$3" "$1 $2"
}

# Links and programs of ours that this machine has.
objects() {
	bpftool -j prog show | jq '[.[] | select(.name // "" | startswith("weft_"))] | length'
}

before=$(objects)
"$WEFT" -o json check --pre >"$tmp/good" || fail "this node is not good: $(cat "$tmp/good")"
jq -e '.ok and (.checks | length > 12) and all(.checks[]; .text != "")' "$tmp/good" >/dev/null ||
	fail "$(cat "$tmp/good")"
for name in btf programs cgroup sk_lookup netns_cookie fwmark_accept; do
	says kernel $name ok "$tmp/good"
done
wait_for 10 test "$(objects)" -le "$before"
[[ -z $(find "$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)" -maxdepth 1 -name 'weft-check-*') ]] ||
	fail "a control group of the check is still there"

# the same for people
"$WEFT" check --pre >"$tmp/text" || fail "exit code $?"
expect_eq "$(grep -c '^  ' "$tmp/text")" "$(jq '.checks | length' "$tmp/good")" "lines of text"
grep -q "^kernel $(uname -r)\$" "$tmp/text" || fail "$(cat "$tmp/text")"

# what is missing, in namespaces of this test
! unshare -m sh -c 'mount -t tmpfs none /proc/sys && exec "$@"' - \
	"$WEFT" -o json check --pre >"$tmp/bad" || fail "a node without tcp_fwmark_accept is good"
says kernel fwmark_accept fail "$tmp/bad"
jq -e '.ok == false' "$tmp/bad" >/dev/null || fail "ok"
(ulimit -n 1024 && "$WEFT" -o json check --pre >"$tmp/few") || fail "few descriptors are no failure"
says machine open_files warn "$tmp/few"
unshare -m sh -c 'mount -t tmpfs none /sys/fs/bpf && exec "$@"' - \
	"$WEFT" -o json check --pre >"$tmp/nobpf" || true
says machine bpffs warn "$tmp/nobpf"
! WEFT_UPLINK=nosuch0 "$WEFT" -o json check --pre >"$tmp/uplink" || fail "an uplink that is not there"
says machine uplink fail "$tmp/uplink"
if unshare -n ip tuntap add dev wefttun mode tun 2>/dev/null; then
	WEFT_UPLINK=wefttun unshare -n sh -c 'ip tuntap add dev wefttun mode tun && exec "$@"' - \
		"$WEFT" -o json check --pre >"$tmp/bare" || fail "an uplink of bare IP"
	says machine uplink warn "$tmp/bare"
fi
! WEFT_WORKERS=many "$WEFT" -o json check --pre >"$tmp/conf" || fail "a wrong configuration"
jq -e '.checks[] | select(.name == "configuration" and .state == "fail") | .text |
	contains("WEFT_WORKERS")' "$tmp/conf" >/dev/null || fail "$(cat "$tmp/conf")"

# rules and programs of others, in a namespace of this test
if command -v nft >/dev/null; then
	unshare -n sh -c 'nft add table ip mesh &&
		nft "add chain ip mesh ISTIO_OUTPUT { type nat hook output priority 0; }" &&
		nft add rule ip mesh ISTIO_OUTPUT tcp dport 80 redirect to :15001 && exec "$@"' - \
		"$WEFT" -o json check --pre >"$tmp/rules" || skip "no nftables here: $(cat "$tmp/rules")"
	says others nft warn "$tmp/rules"
fi

# without a daemon, and with one
"$WEFT" --socket "$tmp/none" -o json check >"$tmp/down" 2>/dev/null
expect_eq $? 3 "exit code without a daemon"
says daemon running fail "$tmp/down"
lab_up - <<'EOM'
nodes: [node1]
pods:
  - {name: a, node: node1}
EOM
weft_json node1 check >"$tmp/up" || fail "exit code $?: $(cat "$tmp/up")"
says daemon running ok "$tmp/up"
says daemon ready ok "$tmp/up"
says daemon mesh_file ok "$tmp/up"
echo 'workloads: {' >"$LAB_DIR/mesh.yaml"
wait_for 10 sh -c "\"$WEFT\" --socket $LAB_DIR/node1/weftd.sock -o json status | jq -e '.mesh.last_error != null and .mesh.last_error != \"\"'"
! weft_json node1 check >"$tmp/broken" || fail "a broken mesh file is no failure"
says daemon mesh_file fail "$tmp/broken"
