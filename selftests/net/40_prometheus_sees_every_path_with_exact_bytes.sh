#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# What a real Prometheus scrapes from both nodes: connections and exact bytes of every path from
# both reporters, bytes of open connections, labels that graphs need, and no counter that falls.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

command -v prometheus >/dev/null || skip "no prometheus"

PROM=http://127.0.0.1:9090
MTLS='connection_security_policy="mutual_tls"'
CLEAR='connection_security_policy="unknown"'
NEAR='destination_service="near.default.svc.cluster.local"'
FAR='destination_service="far.default.svc.cluster.local"'
DIRECT="source_workload=\"client\",$NEAR,$CLEAR"
HBONE="source_workload=\"client\",$FAR,$MTLS"
PLAIN="source_workload=\"outsider\",$NEAR,$CLEAR"
PASS="source_workload=\"client\",destination_workload=\"unknown\",$CLEAR"

prom_start() {
	cat >"$tmp/prometheus.yml" <<-EOT
	global: {scrape_interval: 1s, scrape_timeout: 1s}
	scrape_configs:
	  - job_name: weftd
	    static_configs: [{targets: ["172.31.250.1:15020", "172.31.250.2:15020"]}]
	EOT
	background @fabric prometheus --config.file="$tmp/prometheus.yml" --log.level=warn \
		--storage.tsdb.path="$tmp/tsdb" --web.listen-address=127.0.0.1:9090
}

# Sum of an instant vector; the word "none" if it is empty.
prom() {
	pod @fabric curl -sS -m 5 --data-urlencode "query=$1" "$PROM/api/v1/query" |
		jq -r 'if .status != "success" then .error
		       else [.data.result[].value[1] | tonumber] | add // "none" end'
}

prom_is() {
	local got
	got=$(prom "$1")
	[[ $got == "$2" ]] || { echo "$1 is $got, not $2"; return 1; }
}

prom_at_least() {
	local got
	got=$(prom "$1")
	[[ $got != none ]] && jq -en "$got >= $2" >/dev/null || { echo "$1 is $got, not $2"; return 1; }
}

sees() {
	wait_for 15 prom_is "$1" "$2"
}

# counts WHO LABELS CONNECTIONS RECEIVED SENT: of that reporter, after all were closed
counts() {
	sees "sum(istio_tcp_connections_opened_total{reporter=\"$1\",$2})" "$3"
	sees "sum(istio_tcp_connections_closed_total{reporter=\"$1\",$2})" "$3"
	sees "sum(istio_tcp_received_bytes_total{reporter=\"$1\",$2})" "$4"
	sees "sum(istio_tcp_sent_bytes_total{reporter=\"$1\",$2})" "$5"
}

telemetry_up
prom_start
wait_for 20 prom_is 'sum(up{job="weftd"})' 2
near=$(ip_of near)

# -- bulk data from the server, then bytes both ways on connections that stay open
expect_eq "$(bulk client near 81)" $BULK direct
expect_eq "$(bulk client far 81)" $BULK hbone
expect_eq "$(bulk outsider "$near" 9001)" $BULK plain
expect_eq "$(bulk client $FABRIC 9001)" $BULK passthrough
wire_all
for name in direct hbone plain passthrough; do
	wire_echo "$name" 50000
done
live() {
	local who=$1 labels=$2
	sees "sum(istio_tcp_connections_opened_total{reporter=\"$who\",$labels})" 2
	wait_for 15 prom_at_least "sum(istio_tcp_received_bytes_total{reporter=\"$who\",$labels})" 49999
	wait_for 15 prom_at_least "sum(istio_tcp_sent_bytes_total{reporter=\"$who\",$labels})" \
		$((BULK + 49999))
	sees "sum(istio_tcp_connections_closed_total{reporter=\"$who\",$labels})" 1
}
for path in direct hbone passthrough plain; do
	sees "sum(weft_connections_open{path=\"$path\",instance=~\".*1:15020\"})" 1
done
live source "$DIRECT"
live destination "$DIRECT"
live source "$HBONE"
live destination "$HBONE"
live destination "$PLAIN"
live source "$PASS"
wire_echo direct 1000
wire_echo hbone 1000
sees "sum(istio_tcp_received_bytes_total{reporter=\"source\",$HBONE})" 51000
wait_for 15 prom_at_least "sum(istio_tcp_received_bytes_total{reporter=\"source\",$DIRECT})" 50999
wire_end_all

# -- refused: by the connect hook, and by the relay of the other node
expect_fail pod intruder nc -4 -z -w 5 near 80
pod intruder sh -c 'echo x | socat -t 5 - TCP4:far:80' >/dev/null 2>&1

counts source "$DIRECT" 2 51000 $((BULK + 51000))
counts destination "$DIRECT" 2 51000 $((BULK + 51000))
counts source "$HBONE" 2 51000 $((BULK + 51000))
counts destination "$HBONE" 2 51000 $((BULK + 51000))
counts destination "$PLAIN" 2 50000 $((BULK + 50000))
counts source "$PASS" 2 50000 $((BULK + 50000))
sees "sum(istio_tcp_sent_bytes_total{reporter=\"source\",source_workload=\"outsider\"})" none
sees "sum(istio_tcp_sent_bytes_total{reporter=\"destination\",destination_workload=\"unknown\"})" none

DENIED='source_workload="intruder",response_flags="DENY"'
sees "sum(istio_tcp_connections_failed_total{reporter=\"source\",$DENIED,$NEAR})" 1
sees "sum(istio_tcp_connections_failed_total{reporter=\"source\",$DENIED,$FAR,$MTLS})" 1
sees "sum(istio_tcp_connections_failed_total{reporter=\"destination\",$DENIED,$FAR,$MTLS})" 1
sees "sum(istio_tcp_connections_opened_total{source_workload=\"intruder\"})" none
for family in sent received; do # the edge of a graph, with no bytes on it
	sees "sum(istio_tcp_${family}_bytes_total{reporter=\"source\",$DENIED,$NEAR})" 0
	sees "sum(istio_tcp_${family}_bytes_total{reporter=\"destination\",$DENIED,$FAR})" 0
done

# -- the daemon's own view: each connection once, although a direct one has both ends here
for path in direct hbone passthrough plain; do
	sees "sum(weft_connections_open{path=\"$path\",instance=~\".*1:15020\"})" 0
	sees "sum(weft_connections_total{path=\"$path\",reason=\"ok\",instance=~\".*1:15020\"})" 2
done
sees 'sum(weft_connections_total{path="denied",instance=~".*1:15020"})' 1

# -- labels
ALL='__name__=~"istio_tcp_.+"'
empty=
for label in {source,destination}_{workload,workload_namespace,canonical_service} \
	{source,destination}_{canonical_revision,principal,app,version,cluster} \
	destination_service{,_name,_namespace} request_protocol response_flags \
	connection_security_policy reporter; do
	empty="${empty:+$empty or }{$ALL,$label=\"\"}"
done
sees "count($empty)" none
sees "count({$ALL,request_protocol!=\"tcp\"})" none
sees "count({$ALL,reporter!~\"source|destination\"})" none
sees "count({$ALL,source_workload=\"client\",source_version!=\"v7\"})" none
sees "count({$ALL,source_workload=\"client\",source_cluster!=\"Kubernetes\"})" none
sees "count({$ALL,$FAR,source_workload=\"client\",connection_security_policy!=\"mutual_tls\"})" none
sees "count({$ALL,$MTLS,destination_workload!=\"far\"})" none
for side in source destination; do
	sees "count({$ALL,$CLEAR,${side}_principal!=\"unknown\"})" none
	sees "count({$ALL,$MTLS,${side}_principal!~\"spiffe://cluster.local/ns/default/sa/.+\"})" none
done
for family in connections_opened connections_closed received_bytes sent_bytes; do
	for flow in "$DIRECT" "$HBONE"; do # the same labels and numbers from both ends
		a="istio_tcp_${family}_total{reporter=\"source\",$flow}"
		b="istio_tcp_${family}_total{reporter=\"destination\",$flow}"
		sees "count($a)" 1
		sees "count($b)" 1
		sees "count($a == ignoring(reporter,instance) $b)" 1
	done
done

# -- nothing falls while connections come and go
churn client near 80 25
churn client far 80 25
churn outsider "$near" 9000 25
churn client $FABRIC 9000 25
sees "sum(istio_tcp_connections_closed_total{reporter=\"source\",$DIRECT})" 27
sees "sum(istio_tcp_connections_closed_total{reporter=\"destination\",$HBONE})" 27
sees "sum(istio_tcp_connections_closed_total{reporter=\"destination\",$PLAIN})" 27
sees "sum(istio_tcp_connections_closed_total{reporter=\"source\",$PASS})" 27
prom_at_least "sum(count_over_time(istio_tcp_sent_bytes_total{$DIRECT}[10m]))" 10 ||
	fail "too few scrapes for what follows"
mapfile -t counters < <(pod @fabric curl -sS "$PROM/api/v1/label/__name__/values" |
	jq -r '.data[] | select(endswith("_total"))')
((${#counters[@]} >= 10)) || fail "only these counters: ${counters[*]}"
for counter in "${counters[@]}"; do
	prom_is "sum(resets(${counter}[10m]))" 0 || fail "$counter fell"
done
prom_is 'min(min_over_time(up{job="weftd"}[10m]))' 1 || fail "a scrape failed"
