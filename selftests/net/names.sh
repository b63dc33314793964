# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Of the scenarios about names, on top of lib.sh and peers.sh.
#
#   NS4, NS6                     addresses of the fabric, where nameservers are
#   nameserver                   dnsmasq there: www.example.test, a long TXT, SRV; until the script ends
#   nameserver_end               its end
#   raw WORD...                  dns.py there, in the background; its words in $names_tmp/raw
#   ask POD [OPTION...] WORD...  dig, one try of 3 s
#   short POD WORD...            only its answers, sorted, in one line
#   status POD WORD...           only the status of the answer
#   expect_foreign POD NAME WHAT   the answer is the nameserver's own, which knows no such name
#   resolve POD WORD...          a command for which @NS4 is the nameserver of resolv.conf, with the
#                                search path that Kubernetes gives
# shellcheck disable=SC2034

command -v dig >/dev/null || skip "no dig (package bind9-dnsutils)"
command -v dnsmasq >/dev/null || skip "no dnsmasq (package dnsmasq-base)"
NS4=172.31.250.254
NS6=fd31:250::254
DNS="/usr/bin/python3 -S $ROOT/selftests/net/dns.py"
names_tmp=$(mktemp -d)
names_pids=()

names_end() {
	local code=$?
	((${#names_pids[@]} == 0)) || kill "${names_pids[@]}" 2>/dev/null
	rm -rf "$names_tmp"
	(exit "$code")
	peers_end
}
trap names_end EXIT

nameserver() {
	local long
	long=$(printf 'x%.0s' {1..200})
	"$WEFT" lab --name "$LAB" exec @fabric -- dnsmasq --pid-file= -k -h -R -C /dev/null -p 53 --listen-address="$NS4,$NS6" --bind-interfaces \
		--address=/www.example.test/192.0.2.7 --local=/cluster.local/ --local=/default/ --local=/bank/ --local=// \
		--txt-record="t.example.test,hello" --srv-host=_x._tcp.example.test,www.example.test,5060 \
		--txt-record="long.example.test,$long,$long,$long,$long,$long" \
		>"$names_tmp/dnsmasq.log" 2>&1 &
	names_pids+=($!)
	wait_for 5 pod @fabric dig +time=1 +tries=1 "@$NS4" www.example.test
	wait_for 5 pod @fabric dig +time=1 +tries=1 "@$NS6" www.example.test
}

nameserver_end() {
	kill "${names_pids[0]}"
	wait "${names_pids[0]}" 2>/dev/null
	names_pids=("${names_pids[@]:1}")
}

raw() {
	# shellcheck disable=SC2086 # words
	"$WEFT" lab --name "$LAB" exec @fabric -- $DNS "$@" >"$names_tmp/raw" 2>"$names_tmp/raw.err" &
	names_pids+=($!)
	wait_for 5 grep -q ready "$names_tmp/raw"
}

ask() {
	local where=$1
	shift
	pod "$where" dig +tries=1 +time=3 "$@"
}

short() {
	ask "$1" +short "${@:2}" | sort | xargs
}

status() {
	ask "$@" | sed -n 's/.*status: \([A-Z]*\),.*/\1/p'
}

expect_foreign() {
	local own
	own=$(status @fabric "@$NS4" "$2")
	[[ -n $own && $own != NOERROR ]] || fail "the nameserver itself knows $2: $own"
	expect_eq "$(status "$1" "@$NS4" "$2")" "$own" "$3"
}

resolve() {
	local where=$1
	shift
	: >"$names_tmp/hosts"
	printf 'nameserver %s\nsearch default.svc.cluster.local svc.cluster.local cluster.local\noptions ndots:5\n' \
		"$NS4" >"$names_tmp/resolv.conf"
	# shellcheck disable=SC2016 # for the shell in the pod
	pod "$where" unshare -m sh -c 'mount --bind "$1/resolv.conf" /etc/resolv.conf &&
		mount --bind "$1/hosts" /etc/hosts && shift && exec "$@"' sh "$names_tmp" "$@"
}
