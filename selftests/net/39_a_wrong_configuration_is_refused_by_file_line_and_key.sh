#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weftd --check says what is wrong and where; flags win over the environment, that over the
# file. A second daemon on the same run_dir or pin_dir goes away without touching the first
# one's pods.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

conf=$peers_tmp/weftd.yaml

checked() {
	env -i PATH="$PATH" "${environment[@]}" "$WEFTD" --config "$conf" --check "$@" 2>&1
}

# wrong LINES MESSAGE [FLAG...]: exit code 2, and the message is this one (a pattern)
wrong() {
	local text=$1 message=$2 out code
	shift 2
	printf '%b\n' "$text" >"$conf"
	out=$(checked "$@")
	code=$?
	expect_eq "$code" 2 "exit code for $text ($out)"
	# shellcheck disable=SC2053 # a pattern
	[[ $out == "weftd: "$message ]] || fail "$text: says \"$out\""
	[[ $out != *$'\n'* ]] || fail "$text: more than one line: \"$out\""
}

# value KEY [FLAG...]: effective value and where it came from
value() {
	local key=$1
	shift
	checked "$@" | sed -n "s/^$key: //p"
}

environment=()
wrong 'node: n1\nworkers: many' "$conf:2: workers \"many\" is not a number from 1 to 256"
wrong 'workers: 0' "$conf:1: workers \"0\" is not a number from 1 to 256"
wrong 'workers: 1.5' "$conf:1: workers *"
wrong '# comment\n\nworker: 2' "$conf:3: there is no key \"worker\""
wrong 'same_node: fast' "$conf:1: same_node \"fast\" is not direct or mtls"
wrong 'uplink_guard: on' "$conf:1: uplink_guard \"on\" is not auto, xdp, tcx or off"
wrong 'metrics_port: 65536' "$conf:1: metrics_port \"65536\" is not a port from 1 to 65535, or 0 for off"
wrong 'metrics_port: [1, 2]' "$conf:1: metrics_port must be one value, not a list or a map"
wrong 'log_level:' "$conf:1: log_level has no value"
wrong 'certificate_ttl: 1s' "$conf:1: certificate_ttl \"1s\" is not a duration *"
wrong 'certificate_ttl: 24' "$conf:1: certificate_ttl *"
wrong 'run_dir: run/weft' "$conf:1: run_dir \"run/weft\" is not an absolute path"
wrong 'cgroup: /tmp' "$conf:1: cgroup \"/tmp\" is not a folder of a cgroup2 mount"
wrong 'node: ../up' "$conf:1: node *"
wrong 'trust_domain: Upper_Case' "$conf:1: trust_domain *"
wrong 'access_log: here' "$conf:1: access_log \"here\" is not -, off or an absolute path"
wrong 'node: a\nnode: b' "$conf:2:*"
wrong 'node: a\n\tworkers: 1' "$conf:2:*"
wrong '- a\n- b' "$conf:1: must be lines of \"key: value\""
wrong 'ready_port: 15000' "$conf:1: ready_port and admin_port (default) are both 15000"
wrong 'ready_port: 1\nmetrics_port: 1' "$conf:1: ready_port and metrics_port ($conf:2) are both 1"
wrong '{}' '--workers: workers "x" is not*' --workers x
wrong '{}' '--ready-port: ready_port and metrics_port (default) are both 15020' --ready-port=15020
wrong '{}' 'there is no option --worker; *' --worker=1
wrong '{}' '"now" is no option; *' now
wrong '{}' '--workers needs a value' --workers
environment=(WEFT_LOG_LEVEL=loud)
wrong '{}' 'WEFT_LOG_LEVEL: log_level "loud" is not error, warn, info or debug'
environment=()
rm "$conf"
out=$(checked)
expect_eq "$?" 2 "exit code without the file that was asked for"
[[ $out == *"$conf"*'No such file'* ]] || fail "no file: $out"

# ---- which source wins
printf 'workers: 3\nlog_level: warn\naccess_log: off\n' >"$conf"
expect_eq "$(value workers)" "3 # $conf:1" "file"
expect_eq "$(value same_node)" '"direct" # default' "default"
environment=(WEFT_WORKERS=4 WEFT_LOG_LEVEL=debug)
expect_eq "$(value workers)" '4 # WEFT_WORKERS' "environment over file"
expect_eq "$(value workers --workers 5)" '5 # --workers' "flag over environment"
expect_eq "$(value log_level --workers=5)" '"debug" # WEFT_LOG_LEVEL' "environment"
expect_ok checked
checked >"$conf.effective"
cp "$conf.effective" "$conf"
environment=()
expect_eq "$(value workers)" "4 # $conf:$(grep -n '^workers' "$conf" | cut -d: -f1)" "printed values, read again"

# ---- a second daemon
shop_up
hold near near web.shop 80
hold far far web.shop 80
before=$(weft_json node1 pods | jq -c '[.pods[] | [.name, .state, .cookie]]')
attached=$(weft_json node1 bpf | jq -c '[.programs[] | [.id, .attached]]')
out=$(pod @node1 timeout 10 "$WEFTD" --config "$LAB_DIR/node1/weftd.yaml" 2>&1)
expect_eq "$?" 1 "exit code of the second daemon"
[[ $out == *"$LAB_DIR/node1"*'another weftd'* ]] || fail "second daemon: $out"
out=$(pod @node1 timeout 10 "$WEFTD" --config "$LAB_DIR/node1/weftd.yaml" \
	--run-dir "$peers_tmp/run" 2>&1)
expect_eq "$?" 1 "exit code of a daemon with the same pin_dir"
[[ $out == *'pin_dir: '*'another weftd'* ]] || fail "daemon with the same pin_dir: $out"
expect_eq "$(weft_json node1 pods | jq -c '[.pods[] | [.name, .state, .cookie]]')" "$before" "pods"
expect_eq "$(weft_json node1 bpf | jq -c '[.programs[] | [.id, .attached]]')" "$attached" "programs"
hold_ok near
hold_ok far
direct=$(event node1 connect_direct)
expect_eq "$(says near web.shop 80)" ok "near"
(($(event node1 connect_direct) > direct)) || fail "near is outside of the mesh"
expect_eq "$(says far web.shop 80)" ok "far"
