# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Scenarios with istio-cni, on top of peers.sh: its node agent is the stand-in zds.py, one per node;
# the rules in pods and on nodes are those that istio-cni makes (docs/zds.md), by iptables.
#
#   zds_rules POD [dns]       in the pod, before it is told to weftd; dns: names are captured, too
#   zds_probe_rules NODE POD...   of the node: what its processes send to these pods is from 169.254.7.127
#   zds_agent NODE            the agent of that node; its files are in $zds/NODE
#   zds_use NODE [KEY VALUE]...   that node's weftd has its pods from the agent from now on
#   cni NODE JSON             one command (see zds.py); its answer
#   cni_add NODE POD [UID]    as at the pod's start, and the answer must be good; uid: uid-NAME
#   cni_tell NODE JSON        one message (tell of zds.py): its answer, "" good, or "closed"
#   cni_state NODE JQ         true if the agent's state is so
#   pods_in_kernel NODE       rows of weft_pods
#   zds_is NODE JQ            true if .zds of `weft status` is so
. "$ROOT/selftests/net/peers.sh"

: "${peers_tmp:?}"
zds=$peers_tmp/zds
zds_probe=169.254.7.127
command -v iptables-restore >/dev/null || skip "there is no iptables"

# The nat, mangle and raw tables of a pod; $1: iptables, $2: loopback, $3: probes, $4: DNS or not
zds_tables() {
	local lo=$1 probe=$2 dns=${3:-}
	cat <<-END
	*mangle
	:ISTIO_PRERT - [0:0]
	:ISTIO_OUTPUT - [0:0]
	-A PREROUTING -j ISTIO_PRERT
	-A OUTPUT -j ISTIO_OUTPUT
	-A ISTIO_PRERT -m mark --mark 0x539/0xfff -j CONNMARK --set-xmark 0x111/0xfff
	-A ISTIO_OUTPUT -m connmark --mark 0x111/0xfff -j CONNMARK --restore-mark --nfmask 0xffffffff --ctmask 0xffffffff
	COMMIT
	*nat
	:ISTIO_PRERT - [0:0]
	:ISTIO_OUTPUT - [0:0]
	-A PREROUTING -j ISTIO_PRERT
	-A OUTPUT -j ISTIO_OUTPUT
	-A ISTIO_PRERT -s $probe -p tcp -m tcp -j ACCEPT
	-A ISTIO_PRERT ! -d $lo -p tcp ! --dport 15008 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15006
	-A ISTIO_OUTPUT -d $probe -p tcp -m tcp -j ACCEPT
	END
	[[ -z $dns ]] || cat <<-END
	-A ISTIO_OUTPUT ! -o lo -p udp -m mark ! --mark 0x539/0xfff -m udp --dport 53 -j REDIRECT --to-port 15053
	-A ISTIO_OUTPUT ! -d $lo -p tcp --dport 53 -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15053
	END
	cat <<-END
	-A ISTIO_OUTPUT -p tcp -m mark --mark 0x111/0xfff -j ACCEPT
	-A ISTIO_OUTPUT ! -d $lo -o lo -j ACCEPT
	-A ISTIO_OUTPUT ! -d $lo -p tcp -m mark ! --mark 0x539/0xfff -j REDIRECT --to-ports 15001
	COMMIT
	END
	[[ -z $dns ]] || cat <<-END
	*raw
	:ISTIO_PRERT - [0:0]
	:ISTIO_OUTPUT - [0:0]
	-A PREROUTING -j ISTIO_PRERT
	-A OUTPUT -j ISTIO_OUTPUT
	-A ISTIO_OUTPUT -p udp -m mark --mark 0x539/0xfff -m udp --dport 53 -j CT --zone 1
	-A ISTIO_PRERT -p udp -m mark ! --mark 0x539/0xfff -m udp --sport 53 -j CT --zone 1
	COMMIT
	END
}

zds_rules() {
	local pod=$1 dns=${2:-} out
	out=$(pod "$pod" iptables-restore --noflush < <(zds_tables 127.0.0.1/32 $zds_probe "$dns") 2>&1) ||
		skip "the kernel does not take istio-cni's rules: $out"
	out=$(pod "$pod" ip6tables-restore --noflush \
		< <(zds_tables ::1/128 fd16:9254:7127:1337:ffff:ffff:ffff:ffff "$dns") 2>&1) ||
		skip "the kernel does not take istio-cni's rules of IPv6: $out"
	expect_ok pod "$pod" ip rule add fwmark 0x111/0xfff pref 32764 lookup 100
	expect_ok pod "$pod" ip route add local 0.0.0.0/0 dev lo table 100
	expect_ok pod "$pod" ip -6 rule add fwmark 0x111/0xfff pref 32764 lookup 100
	expect_ok pod "$pod" ip -6 route add local ::/0 dev lo table 100
}

# Of a process of the node, not what is only forwarded: its socket is seen.
zds_probe_rules() {
	local node=$1 ip
	shift
	for ip; do
		ip=$(ip_of "$ip")
		expect_ok pod "@$node" iptables -t nat -A POSTROUTING -p tcp -d "$ip" -m owner --socket-exists \
			-j SNAT --to-source $zds_probe
	done
}

zds_agent() {
	local node=$1
	mkdir -p "$zds/$node"
	python3 "$ROOT/selftests/zds.py" serve --socket "$zds/$node/ztunnel.sock" --ctl "$zds/$node/ctl" \
		>"$zds/$node/said" 2>&1 &
	background+=("$!")
	wait_for 10 cni "$node" '{"state": true}'
}

zds_use() {
	local node=$1 file=$LAB_DIR/$1/weftd.yaml
	shift
	expect_ok lab stop "$node"
	echo "zds: $zds/$node/ztunnel.sock" >>"$file"
	while (($# > 1)); do
		sed -i "/^$1:/d" "$file"
		echo "$1: $2" >>"$file"
		shift 2
	done
	expect_ok lab start "$node"
}

cni() {
	python3 "$ROOT/selftests/zds.py" ctl "$zds/$1/ctl" "$2"
}

cni_pod() { # POD [UID]
	local name=${1##*/} ns=default
	[[ $1 != */* ]] || ns=${1%%/*}
	printf '{"uid": "%s", "namespace": "%s", "name": "%s", "serviceAccount": "%s", "netns": "%s"}' \
		"${2:-uid-$name}" "$ns" "$name" "$name" "/run/netns/$LAB-$ns-$name"
}

cni_add() {
	local out
	out=$(cni "$1" "{\"add\": $(cni_pod "$2" "${3:-}")}") || fail "cni add $2: $out"
	expect_eq "$(jq -r .error <<<"$out")" "" "cni add $2"
}

cni_tell() {
	local out
	out=$(cni "$1" "{\"tell\": $2}") || fail "cni tell $2: $out"
	jq -r 'if .closed then "closed" else .ack end' <<<"$out"
}

cni_state() {
	cni "$1" '{"state": true}' | jq -e "$2" >/dev/null
}

zds_is() {
	weft_json "$1" status | jq -e ".zds | $2" >/dev/null
}

pods_in_kernel() {
	bpftool -j map dump pinned "$(pins "$1")/weft_pods" | jq length
}
