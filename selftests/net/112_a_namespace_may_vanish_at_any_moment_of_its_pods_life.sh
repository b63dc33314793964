#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The network namespace of a pod is deleted at random moments of its enrolment, of its traffic and of
# its un-enrolment, and at once another pod has its address, interface and path, each second time with
# another identity: nobody is taken for who was there before, and in the end nothing is left of them:
# no pod, descriptor, pin, table entry.
#
#   node1: server, friend and foe by turns (same address)      only sa/friend may
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

TRIES=${TRIES:-60}
RANDOM=${SEED:=$RANDOM}
echo "SEED=$SEED"

lab_up - < <(
	friends
	echo 'weftd: {tunnel_ping: 1s, keepalive: 1s}' # what is stuck in a namespace without a link ends soon
)
ip=$(ip_of server)
remote=$(ip_of remote)
old=$(ip_of friend)
ns=$LAB-default-friend
cgroup=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)/$LAB-lab/node1/pods/default_friend
link=$(ip -n "$LAB-node1" -j route show "$old" | jq -r '.[0].dev')
mac=$(ip -n "$LAB-node1" -j link show "$link" | jq -r '.[0].address')
pod_mac=$(ip -n "$ns" -j link show eth0 | jq -r '.[0].address')
mesh=$LAB_DIR/mesh.yaml
cp "$mesh" "$peers_tmp/mesh.friend"
sed -e 's|Pod/default/friend$|Pod/default/foe|' -e 's|name: friend$|name: foe|' \
	-e 's|serviceAccount: friend$|serviceAccount: foe|' "$mesh" >"$peers_tmp/mesh.foe"
wait_for 10 peer friend who "$ip" 9000
wait_for 10 peer friend who "$remote" 9000

in_pod() { # CMD...: in the newest namespace and the old pod's control group
	# shellcheck disable=SC2016 # for the inner shell
	sh -c 'echo $$ >"$1/cgroup.procs" && shift && exec "$@"' sh "$cgroup" ip netns exec "$ns" "$@"
}
reaches() {
	# shellcheck disable=SC2086 # words
	in_pod $PEER -t 5 who "$1" 9000
}
refused() { # WHEN
	local out to
	for to in "$ip" "$remote"; do
		! out=$(reaches "$to" 2>&1) || fail "try $i, $1: the foe reached $to: $out"
	done
}

weftd=$(pid_of node1)
# What a container runtime does, in either order.
destroy() {
	local pids
	# weftd is in there for a moment, too, when it opens its sockets; the runtime kills only its own
	pids=$(ip netns pids "$ns" 2>/dev/null | grep -vx "$weftd")
	# shellcheck disable=SC2086 # words
	((RANDOM % 2)) && [[ $pids ]] && kill -9 $pids 2>/dev/null
	ip netns del "$ns" || fail "ip netns del"
	# shellcheck disable=SC2086 # words
	[[ $pids ]] && kill -9 $pids 2>/dev/null
	ip -n "$LAB-node1" link del "$link" 2>/dev/null
	return 0
}
create() {
	ip netns add "$ns" &&
		ip -n "$LAB-node1" link add "$link" address "$mac" type veth peer name eth0 \
			address "$pod_mac" netns "$ns" || fail "ip link add"
	ip -n "$ns" -batch - <<-EOF || fail "the pod's network"
		link set lo up
		addr add $old/32 dev eth0
		link set eth0 up
		neigh add 169.254.1.1 lladdr $mac dev eth0 nud permanent
		route add default via 169.254.1.1 dev eth0 onlink
	EOF
	ip -n "$LAB-node1" -batch - <<-EOF || fail "the node's network"
		link set $link up
		neigh replace $old lladdr $pod_mac dev $link nud permanent
		route replace $old dev $link
	EOF
}
traffic() {
	# shellcheck disable=SC2086 # words
	in_pod $PEER -t 3 many 5000 "$ip" 9000 >/dev/null 2>&1 &
	# shellcheck disable=SC2086 # words
	in_pod $PEER -t 3 many 5000 "$remote" 9000 >/dev/null 2>&1 &
}
enrols() {
	weft_on node1 pod enrol "default/$who" --netns "/var/run/netns/$ns" >/dev/null 2>&1
}
known() {
	weft_json node1 workloads | jq -e --arg who "$who" '.workloads[] | select(.name == $who)'
}
certified() {
	weft_json node1 certs | jq -e --arg who "/$who" '.certs[] |
		select((.identity | endswith($who)) and .state == "ready")' >/dev/null
}
judged() { # an enrolled pod gets what it may have, and nothing else
	expect_ok enrols
	wait_for 10 known
	if [[ $who == friend ]]; then
		wait_for 10 reaches "$ip"
		wait_for 10 reaches "$remote"
	else
		wait_for 10 certified
		refused "enrolled"
	fi
}

pins_left() {
	find "$(pins node1)" -mindepth 1 | sed 's|.*/||' | sort | tr '\n' ' '
}
# "MAP=ENTRIES ..."; totals stay, as documented
tables() {
	weft_json node1 bpf | jq -r '[.maps[] | select(.entries != null and .name != "weft_totals") |
		"\(.name)=\(.entries)"] | sort | join(" ")'
}
tables_are() {
	local now
	now=$(tables)
	[[ $now == "$1" ]] || { echo "$now, before: $1"; false; }
}
threads() {
	find "/proc/$(pid_of node1)/task" -mindepth 1 -maxdepth 1 | wc -l
}
fds() {
	find "/proc/$(pid_of node1)/fd" -mindepth 1 | wc -l
}
only_server() {
	[[ $(weft_json node1 pods | jq -r '[.pods[].name] | join(" ")') == server ]]
}
unenrol node1 friend
wait_for 5 only_server
pins_server=$(pins_left)
no_rows() {
	map_is_empty node1 weft_approved && [[ ! $(paths node1) ]]
}
wait_for 20 no_rows
tables_before=$(tables)
threads_before=$(threads)
[[ $tables_before == *weft_pods=1\ * ]] || fail "tables: $tables_before"

destroy
jobs_done() {
	wait "${jobs[@]}" 2>/dev/null
	jobs=()
}
jobs=()
for ((i = 1; i <= TRIES; i++)); do
	if ((i == 4)); then # what is made once has been made
		wait_for 20 only_server
		fds_before=$(fds)
	fi
	who=foe
	((i % 2)) && who=friend
	cp "$peers_tmp/mesh.$who" "$mesh.new" && mv "$mesh.new" "$mesh"
	create
	[[ $who == friend ]] || refused "before it is enrolled"
	case $((i % 3)) in
	0) # in the middle of its enrolment
		enrols &
		jobs+=($!)
		tick "0.0$((RANDOM % 60 + 10))"
		;;
	1) # of its traffic
		judged
		traffic
		tick "0.$((RANDOM % 200 + 100))"
		;;
	2) # of its un-enrolment
		judged
		traffic
		weft_on node1 pod unenrol "default/$who" >/dev/null 2>&1 &
		jobs+=($!)
		tick "0.0$((RANDOM % 30 + 10))"
		;;
	esac
	destroy
	jobs_done
done

# ---- nothing is left
wait_for 20 only_server
fds_back() {
	(($(fds) <= fds_before)) || { echo "$(fds) descriptors, $fds_before before"; false; }
}
wait_for 20 fds_back
expect_eq "$(pins_left)" "$pins_server" "pins"
expect_eq "$(threads)" "$threads_before" "threads"
wait_for 20 no_rows
who=friend
cp "$peers_tmp/mesh.$who" "$mesh.new" && mv "$mesh.new" "$mesh"
wait_for 20 tables_are "$tables_before"

# ---- and the place is free
create
judged
echo "fault: namespaces that vanish: $TRIES tried, $TRIES survived, 0 lost"
