# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# The lab of the relay scenarios; source it after lib.sh.
#
#         node1                     node2
#   client --- direct --- near
#   client ====== HBONE ============= far
#   outsider ---- plain ------------- far        (outsider is not enrolled)
#
# near and far run relay.py serve, and what they say is in $LAB_DIR/pods/t_NAME.log.

PYTHON=/usr/bin/python3 # not a shim that looks for a version at each start
[[ -x $PYTHON ]] || PYTHON=python3
RELAY="$ROOT/selftests/net/relay.py"
# shellcheck disable=SC2034 # for the scenarios
{
	NEAR4=10.244.1.2 NEAR6=fd00:10:244:1::2
	FAR4=10.244.2.1 FAR6=fd00:10:244:2::1
	CLIENT4=10.244.1.1 CLIENT6=fd00:10:244:1::1
	OUTSIDER4=10.244.1.3 OUTSIDER6=fd00:10:244:1::3
}
WORK=$LAB_DIR/work

relay_policies='[]' # of the mesh
relay_weftd='{}' # more keys for weftd.yaml

relay_lab_text() {
	cat <<-END
	nodes: [node1, node2]
	pods:
	  - {name: client, namespace: t, serviceAccount: client, node: node1}
	  - name: near
	    namespace: t
	    serviceAccount: near
	    node: node1
	    command: exec $PYTHON -u $RELAY serve
	  - {name: outsider, namespace: t, node: node1, enrol: false}
	  - name: far
	    namespace: t
	    serviceAccount: far
	    node: node2
	    labels: {app: far}
	    command: exec $PYTHON -u $RELAY serve
	services:
	  - {name: far, namespace: t, ports: {80: 9004}, selector: {app: far}}
	policies: $relay_policies
	weftd: $relay_weftd
	END
}

# listens POD PORT...: without connecting
listens() {
	local all number
	all=$(pod "t/$1" ss -Htln) || return 1
	shift
	for number in "$@"; do
		grep -q ":$number " <<<"$all" || return 1
	done
}

relay_listens() {
	listens near {9001..9011} 9100 9101 && listens far {9001..9011} 9100 9101
}

relay_lab_up() {
	lab_up - "$@" < <(relay_lab_text)
	mkdir -p "$WORK"
	wait_for 10 relay_listens
	# The first connection to a port of near is decided by the relay; the next ones are direct.
	expect_ok relay client touch "$NEAR4"
}

# relay POD FUNCTION ARG...: a client of relay.py in a pod
relay() {
	local where=$1
	shift
	pod "t/$where" "$PYTHON" "$RELAY" "$@"
}

# said POD TEXT: the server of that pod said this line
said() {
	grep -qxF -- "$2" "$LAB_DIR/pods/t_$1.log"
}

# open_connections NODE [PATH]
open_connections() {
	weft_json "$1" connections |
		jq --arg path "${2:-}" '[.connections[] | select($path == "" or .path == $path)] | length'
}

no_connections() {
	[[ $(open_connections "$1" "${2:-}") == 0 ]]
}

# KiB that the weftd of a node has in memory
rss() {
	awk '/^VmRSS/ { print $2 }' "/proc/$(weft_json "$1" status | jq .pid)/status"
}
