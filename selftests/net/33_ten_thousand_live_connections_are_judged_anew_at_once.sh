#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# 10,000 connections that a change of the mesh file denies all end, and 500 of somebody else are
# not disturbed: direct ones, then those in tunnels. Says how long it took.
#
#        node1                               node2
#   t/web, t/friend, t/foe  (direct)     t/far-friend, t/far-foe  (HBONE to t/web)
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/peers.sh"

count=10000 others=500
(($(ulimit -H -n) >= 2 * count)) || skip "needs $((2 * count)) open files"
ulimit -n "$(ulimit -H -n)"
CROWD="/usr/bin/python3 -S $ROOT/selftests/net/crowd.py"
policies='[]'

lab_file() {
	cat <<-END
	nodes: [node1, node2]
	pods:
	  - {namespace: t, name: web, node: node1, labels: {app: web}, start: before,
	     command: "exec $CROWD serve 9000"}
	  - {namespace: t, name: friend, serviceAccount: friend, node: node1}
	  - {namespace: t, name: foe, serviceAccount: foe, node: node1}
	  - {namespace: t, name: far-friend, serviceAccount: friend, node: node2}
	  - {namespace: t, name: far-foe, serviceAccount: foe, node: node2}
	services:
	  - {namespace: t, name: web, ports: {80: 9000}, selector: {app: web}}
	policies: $policies
	weftd: {access_log_format: json}
	END
}

declare -A crowd_in=() crowd_out=()
crowd() { # NAME COUNT: that pod opens so many
	local name=$1 in out
	mkfifo "$peers_tmp/$name.in" "$peers_tmp/$name.out"
	exec {in}<>"$peers_tmp/$name.in" {out}<>"$peers_tmp/$name.out"
	# shellcheck disable=SC2086 # words
	"$WEFT" lab --name "$LAB" exec "t/$name" -- $CROWD hold "$2" "$web" 9000 <&"$in" >&"$out" &
	background+=($!)
	crowd_in[$name]=$in
	crowd_out[$name]=$out
	expect_eq "$(heard "$name")" open "$name"
}

heard() {
	local line=""
	read -t 60 -r -u "${crowd_out[$1]}" line || true
	echo "$line"
}

ask() { # NAME WORD
	echo "$2" >&"${crowd_in[$1]}"
	heard "$1"
}

all_ended() {
	[[ $(ask "$1" count) == "open=0 ended=$count "* ]] || { ask "$1" count; false; }
}

# with_policies POLICIES: the mesh file with them, in place of the one that is there, which was
# when? (ns)
with_policies() {
	sed "s|^policies:.*|policies: $1|" "$LAB_DIR/mesh.yaml" >"$LAB_DIR/mesh.new"
	# shellcheck disable=SC2086 # words
	$CROWD replace "$LAB_DIR/mesh.new" "$LAB_DIR/mesh.yaml"
}

policies_are() {
	[[ $(weft_json node1 status | jq .mesh.policies) == "$1" ]]
}

# PATH FOE FRIEND: 10,000 connections of the foe end, those of the friend do not
deny() {
	local path=$1 foe=$2 friend=$3 at end
	crowd "$foe" $count
	crowd "$friend" $others
	expect_eq "$(ask "$foe" echo)" "echo $count" "connections of $foe that work"
	expect_eq "$(weft_json node1 connections |
		jq --arg path "$path" --arg pod "$foe" '[.connections[] | select(.path == $path and
			.direction == "inbound" and .src_workload == $pod)] | length')" $count \
		"$path connections of $foe"
	at=$(with_policies "[{name: no-foe, namespace: t, scope: Namespace, action: Deny, rules: [[[{serviceAccounts: [t/foe]}]]]}]")
	wait_for 20 all_ended "$foe"
	end=$(ask "$foe" count)
	echo "$path: of $count connections the first ended" \
		"$((($(field first "$end") - at) / 1000000)) ms, the last" \
		"$((($(field last "$end") - at) / 1000000)) ms after the file was replaced;" \
		"weftd needed $(metric node1 weft_enforce_seconds) s"
	expect_eq "$(ask "$friend" echo)" "echo $others" "connections of $friend that go on"
	[[ $(ask "$friend" count) == "open=$others ended=0 "* ]] || fail "$friend was disturbed"
	with_policies '[]' >/dev/null
	wait_for 5 policies_are 0
}

lab_up - < <(lab_file)
web=$(ip_of web)
deny direct foe friend
deny hbone far-foe far-friend
