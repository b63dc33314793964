#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# One line per connection and side on every path, with the keys in the order that log readers
# know, the right bytes, and a file that can be rotated.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

KEYS="src.addr src.workload src.namespace src.identity src.cluster dst.addr dst.hbone_addr \
dst.service dst.workload dst.namespace dst.identity dst.cluster direction bytes_sent bytes_recv \
duration path dialled policy rule error"

# line NODE PATH DIRECTION WORKLOAD: the lines of connections that WORKLOAD opened
line() {
	awk -F '\t' -v path=" path=\"$2\"" -v direction=" direction=\"$3\"" \
		-v src=" src.workload=\"$4\"" '
		index($5, path) && index($5, direction) && index(" " $5, src)' \
		"$LAB_DIR/$1/access.log"
}

has_line() {
	[[ $(line "$@" | wc -l) == 1 ]] || { line "$@"; return 1; }
}

value() {
	grep -o " $2=[^ ]*" <<<" ${1##*$'\t'}" | cut -d= -f2- | tr -d '"'
}

# expect LINE KEY VALUE: "" is "no such key"
expect() {
	expect_eq "$(value "$1" "$2")" "$3" "$2 in: $1"
}

# Five fields by tabs, key=value pairs by spaces in the fifth, in the order of $KEYS.
check_format() {
	local line=$1 head rest pair at=0 key i
	local -a keys
	read -r -a keys <<<"$KEYS"
	awk -F '\t' 'NF != 5 { exit 1 }' <<<"$line" || fail "not five fields: $line"
	head="^20[0-9-]+T[0-9:]+\.[0-9]{6}Z (info|warn|error) access connection (complete|failed) "
	[[ ${line//$'\t'/ } =~ $head ]] || fail "head of: $line"
	rest=${line##*$'\t'}
	rest=${rest%% error=*} # the only value with spaces, and the last one
	for pair in $rest; do
		key=${pair%%=*}
		for ((i = at; i < ${#keys[@]}; i++)); do
			[[ ${keys[i]} == "$key" ]] && break
		done
		((i < ${#keys[@]})) || fail "$key is unknown or too late: $line"
		at=$((i + 1))
	done
}

telemetry_up
near=$(ip_of near)
far=$(ip_of far)
client=$(ip_of client)

expect_eq "$(bulk client near 81)" $BULK direct
expect_eq "$(bulk client far 81)" $BULK hbone
expect_eq "$(bulk outsider "$near" 9001)" $BULK plain
expect_eq "$(bulk client $FABRIC 9001)" $BULK passthrough
expect_fail pod intruder nc -4 -z -w 5 near 80
pod intruder sh -c 'echo x | socat -t 5 - TCP4:far:80' >/dev/null 2>&1

declare -A is
for what in "direct_out node1 direct outbound client" "direct_in node1 direct inbound client" \
	"hbone_out node1 hbone outbound client" "hbone_in node2 hbone inbound client" \
	"plain_in node1 plain inbound outsider" "pass_out node1 passthrough outbound client" \
	"denied node1 denied outbound intruder" "refused node2 hbone inbound intruder"; do
	read -r name where <<<"$what"
	# shellcheck disable=SC2086 # words
	wait_for 5 has_line $where
	# shellcheck disable=SC2086 # words
	is[$name]=$(line $where)
	check_format "${is[$name]}"
done

# -- what a log reader looks for
for name in direct_out direct_in hbone_out hbone_in; do
	expect "${is[$name]}" src.workload client
	expect "${is[$name]}" src.namespace default
	expect "${is[$name]}" src.cluster Kubernetes
	expect "${is[$name]}" dst.namespace default
	[[ $(value "${is[$name]}" duration) =~ ^[0-9]+ms$ ]] || fail "duration: ${is[$name]}"
	[[ ${is[$name]} == *$'\t'info$'\t'access$'\t'"connection complete"$'\t'* ]] ||
		fail "not complete: ${is[$name]}"
done
for side in in out; do
	expect "${is[direct_$side]}" dst.service near.default.svc.cluster.local
	expect "${is[direct_$side]}" dst.workload near
	expect "${is[direct_$side]}" dst.addr "$near:9001"
	expect "${is[direct_$side]}" src.identity "" # not encrypted, so not proven
	expect "${is[direct_$side]}" dst.identity ""
	expect "${is[hbone_$side]}" dst.service far.default.svc.cluster.local
	expect "${is[hbone_$side]}" dst.workload far
	expect "${is[hbone_$side]}" dst.addr "$far:15008"
	expect "${is[hbone_$side]}" dst.hbone_addr "$far:9001"
	expect "${is[hbone_$side]}" src.identity spiffe://cluster.local/ns/default/sa/client
	expect "${is[hbone_$side]}" dst.identity spiffe://cluster.local/ns/default/sa/far
done
[[ $(value "${is[direct_out]}" src.addr) == "$client":* ]] || fail "source: ${is[direct_out]}"
expect "${is[direct_in]}" src.addr "$(value "${is[direct_out]}" src.addr)"
expect "${is[plain_in]}" dst.addr "$near:9001"
expect "${is[plain_in]}" src.identity ""
expect "${is[pass_out]}" dst.addr "$FABRIC:9001"
expect "${is[pass_out]}" dst.workload ""

# -- bytes as the local pod sees them
for name in direct_out hbone_out pass_out; do
	expect "${is[$name]}" bytes_sent 0
	expect "${is[$name]}" bytes_recv $BULK
done
for name in direct_in hbone_in plain_in; do
	expect "${is[$name]}" bytes_sent $BULK
	expect "${is[$name]}" bytes_recv 0
done

# -- refusals say why, with one word that survives a split at spaces, and the policy
for name in denied refused; do
	[[ $(value "${is[$name]}" error) == policy_denied: ]] || fail "error: ${is[$name]}"
	expect "${is[$name]}" policy default/no-intruder
	expect "${is[$name]}" rule 0
	[[ ${is[$name]} == *$'\t'error$'\t'access$'\t'* ]] || fail "level: ${is[$name]}"
done

# -- rotation: lines go to the old file until SIGHUP, then to a new one
log=$LAB_DIR/node1/access.log
mv "$log" "$log.1"
before=$(wc -l <"$log.1")
churn client near 80 1
old_has_more() {
	(($(wc -l <"$log.1") >= before + 2))
}
wait_for 5 old_has_more
[[ ! -e $log ]] || fail "the log came back without SIGHUP"
kill -HUP "$(weft_json node1 status | jq .pid)"
wait_for 5 test -e "$log"
before=$(wc -l <"$log.1")
churn client near 80 1
wait_for 5 has_line node1 direct outbound client
expect_eq "$(wc -l <"$log.1")" "$before" "lines of the old file"
expect_eq "$(weft_json node1 status | jq .access_log.dropped)" 0 "dropped lines"

# -- JSON
lab_down
telemetry_up "access_log_format: json"
churn client far 80 1
expect_fail pod intruder nc -4 -z -w 5 near 80
json_has_both() {
	jq -es 'any(.path == "hbone") and any(.path == "denied")' "$log"
}
wait_for 5 json_has_both
jq -es 'all(.level and .time and .scope == "access" and .message == "connection complete")
	and any(.path == "hbone" and .["src.workload"] == "client" and .bytes_sent == 2
		and .bytes_recv == 2 and .["dst.identity"] == "spiffe://cluster.local/ns/default/sa/far"
		and .direction == "outbound" and (.duration | endswith("ms")))
	and any(.path == "denied" and (.error | startswith("policy_denied: ")))' "$log" >/dev/null ||
	fail "JSON lines: $(cat "$log")"

# -- with same_node: mtls the log and the metrics of one node say mutual TLS on both sides
lab_down
telemetry_up "same_node: mtls"
expect_eq "$(bulk client near 81)" $BULK "same node by a tunnel"
for side in outbound inbound; do
	wait_for 5 has_line node1 hbone $side client
	is[mtls]=$(line node1 hbone $side client)
	check_format "${is[mtls]}"
	expect "${is[mtls]}" src.identity spiffe://cluster.local/ns/default/sa/client
	expect "${is[mtls]}" dst.identity spiffe://cluster.local/ns/default/sa/near
done
for who in source destination; do
	for policy in "mutual_tls 1 $BULK" "unknown 0 0"; do
		read -r policy closed sent <<<"$policy"
		labels="reporter=\"$who\",connection_security_policy=\"$policy\""
		expect_eq "$(metric node1 "istio_tcp_connections_closed_total{$labels}")" "$closed"
		expect_eq "$(metric node1 "istio_tcp_sent_bytes_total{$labels}")" "$sent"
	done
done
