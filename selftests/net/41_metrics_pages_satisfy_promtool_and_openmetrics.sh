#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The metrics port speaks both exposition formats without a complaint of promtool, under both
# of its paths, and refuses what it does not know.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

command -v promtool >/dev/null || skip "no promtool"

URL=http://127.0.0.1:15020

get() {
	pod @node1 curl -sS -m 5 "$@"
}

# What curl says about an answer: code and content type.
answer() {
	get -o /dev/null -w '%{http_code} %{content_type}' "$@"
}

# Complaints of promtool; that name is ztunnel's.
linter() {
	promtool check metrics <"$1" 2>&1 | grep -v '^workload_manager_active_proxy_count .* suffix$'
}

# A family is announced once, its samples follow it, and no label set comes twice.
families_are_whole() {
	awk '
	$1 == "#" && $2 == "TYPE" {
		if (seen[$3]++) { print "twice: " $3; bad = 1 }
		family = $3
		next
	}
	/^#/ { next }
	{
		name = $1
		sub(/\{.*/, "", name)
		if (name != family && name != family "_total") { print name " in " family; bad = 1 }
		set = $0
		sub(/ [^ ]*$/, "", set)
		if (series[set]++) { print "twice: " set; bad = 1 }
	}
	END { exit bad }' "$1"
}

telemetry_up
churn client near 80 2
churn client far 80 2
churn outsider "$(ip_of near)" 9000 1
churn client $FABRIC 9000 1
pod intruder nc -4 -z -w 5 near 80 && fail "the intruder was let in"

# -- text
expect_eq "$(answer $URL/metrics)" "200 text/plain; version=0.0.4; charset=utf-8"
get $URL/metrics >"$tmp/text"
expect_eq "$(linter "$tmp/text")" "" "promtool about the text format"
expect_ok families_are_whole "$tmp/text"
grep -q '^istio_tcp_sent_bytes_total{' "$tmp/text" || fail "no traffic in the metrics"

# -- OpenMetrics, as Prometheus asks for it
accept='Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1'
expect_eq "$(answer -H "$accept" $URL/metrics)" \
	"200 application/openmetrics-text; version=1.0.0; charset=utf-8"
get -H "$accept" $URL/metrics >"$tmp/open"
expect_eq "$(tail -n 1 "$tmp/open")" "# EOF"
expect_ok families_are_whole "$tmp/open"
# the strict parser of promtool reads it into blocks if each sample has a time
awk -v now="$(date +%s)" '/^#/ { print; next } { print $0, now }' "$tmp/open" >"$tmp/timed"
expect_ok promtool tsdb create-blocks-from openmetrics "$tmp/timed" "$tmp/blocks"
# in the text format it is checked by the linter, too
sed '/^# EOF$/d; /^# UNIT/d' "$tmp/open" |
	awk '$2 == "TYPE" && $4 == "counter" { $3 = $3 "_total" }
	     $2 == "HELP" { help = $0; next }
	     $2 == "TYPE" && help { name = $3; split(help, h, " "); sub(/^# HELP [^ ]+/, "# HELP " name, help)
	                            print help; help = "" }
	     { print }' >"$tmp/linted"
expect_eq "$(linter "$tmp/linted")" "" "promtool about OpenMetrics"
expect_eq "$(sed -n 's/^# TYPE \([^ ]*\).*/\1/p' "$tmp/linted" | sort)" \
	"$(sed -n 's/^# TYPE \([^ ]*\).*/\1/p' "$tmp/text" | sort)" "families of both formats"
expect_eq "$(answer -H 'Accept: text/plain' $URL/metrics)" "$(answer $URL/metrics)"

# -- the other path, other methods, other pages
get $URL/stats/prometheus | grep '^istio_tcp_sent_bytes_total{' >/dev/null || fail "no /stats/prometheus"
expect_eq "$(answer -H "$accept" $URL/stats/prometheus)" "$(answer -H "$accept" $URL/metrics)"
expect_eq "$(answer -I $URL/metrics)" "$(answer $URL/metrics)" HEAD
expect_eq "$(answer $URL/nothing)" "404 text/plain; charset=utf-8"
expect_eq "$(answer -X POST $URL/metrics)" "405 text/plain; charset=utf-8"
expect_eq "$(get -o /dev/null -D - -X DELETE $URL/metrics | tr -d '\r' |
	sed -n 's/^Allow: //p')" "GET, HEAD" "Allow"

# -- every documented family of the daemon is there, under its documented name; those of istiod and istio-cni
# only with them
doc=$(sed -n '/^## The daemon itself/,/^## /p' "$ROOT/docs/metrics.md" |
	sed -n 's/^| `\([a-z_]*\)` .*/\1/p' | grep -v '^weft_xds_\|^istio_xds_\|^weft_zds_' | sort)
expect_eq "$(grep -o '^# TYPE weft_[a-z_]*' "$tmp/text" | cut -d' ' -f3 | sort)" "$doc" \
	"families of docs/metrics.md"
pid=$(weft_json node1 status | jq .pid)
fds=$(awk '$1 == "process_open_fds" { print $2 }' "$tmp/text")
((fds > 10 && fds <= $(find "/proc/$pid/fd" | wc -l) + 20)) || fail "process_open_fds is $fds"
grep -q '^workload_manager_active_proxy_count 3$' "$tmp/text" || fail "not three pods"
