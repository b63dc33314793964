#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Each reading command of weft gives JSON with exactly the keys of docs/control.md, a table for
# people with the same facts, and the exit code that a script needs.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/telemetry.sh"

COMMANDS="status pods workloads services policies connections drops certs bpf"

# The cell of docs/control.md about a command as lines of paths: "mesh.path", "pods[].name".
# Braces with a capital letter hold names of values, not keys; istiod{} is there only with istiod.
documented() {
	sed -n "s/^| \`$1\` | \`\(.*\)\`.*|\$/\1/p" "$ROOT/docs/control.md" | sed 's/`.*//' |
		sed 's/{[A-Z][^}]*}//g; s/, istiod{[^}]*}//' | awk '{
		n = length($0)
		word = ""
		depth = 0
		for (i = 1; i <= n + 1; i++) {
			c = i > n ? "," : substr($0, i, 1)
			if (c ~ /[a-z_0-9]/) {
				word = word c
				continue
			}
			if (word != "" && (c == "," || c == "}" || c == "[" || c == "{")) {
				list = c == "[" ? "[]" : ""
				print prefix word list
				if (c == "{" || (c == "[" && substr($0, i + 1, 1) == "{")) {
					if (c == "[")
						i++
					stack[depth++] = prefix
					prefix = prefix word list "."
				}
			}
			word = ""
			if (c == "}")
				prefix = stack[--depth]
		}
	}' | sort -u
}

# The same of a JSON answer; by_path is a table of its own.
present() {
	jq -r '[paths] | map(map(if type == "number" then "[]" else "." + . end) | join("") | .[1:])
		| map(select(. != "ok" and (endswith("[]") | not) and (contains("by_path.") | not)))
		| .[]' | sort -u
}

as_lists() { # "a[]" of the documentation is "a" in a list of paths
	sed 's/\[\]$//' | sort -u
}

telemetry_up
wire_all
for name in direct hbone plain passthrough; do
	wire_echo "$name" 1000
done
expect_fail pod intruder nc -4 -z -w 5 near 80
weft_json node1 bpf >/dev/null # begins to count runs

# -- keys
for command in $COMMANDS; do
	out=$(weft_json node1 "$command") || fail "weft $command: exit code $?"
	jq -e '.ok == true' <<<"$out" >/dev/null || fail "weft $command is not ok"
	doc=$(documented "$command" | as_lists)
	[[ $(wc -l <<<"$doc") -ge 6 ]] || fail "no documentation of $command"
	expect_eq "$(present <<<"$out")" "$doc" "keys of weft $command -o json (left) and docs/control.md"
	declare "json_$command=$out"
done

# -- what they say
ask() {
	local name=json_$1
	jq -e "$2" <<<"${!name}" >/dev/null || fail "weft $1: not true: $2 in $(jq -c . <<<"${!name}")"
}
# shellcheck disable=SC2154 # declared above
{
	ask status '.node == "node1" and .ready and .pending == [] and .pods == 3'
	ask status '.connections.by_path == {direct: 1, hbone: 1, plain: 1, passthrough: 1}'
	ask status '.connections.open == 4 and .connections.opened >= 4'
	ask status '.tunnels.client == 1 and .tunnels.streams == 1 and .certificates.ready >= 3'
	ask status '.mesh.workloads == 5 and .mesh.services == 2 and .mesh.policies == 1'
	ask status '(.workers | length) >= 1 and all(.workers[]; .turns > 0)'
	ask pods '.pods | map(.name) == ["near", "client", "intruder"]'
	ask pods 'all(.pods[]; .state == "enrolled" and .cookie > 0 and (.ips | length) == 2)'
	ask pods '.pods | map({(.name): .connections}) | add == {near: 2, client: 3, intruder: 0}'
	ask pods 'all(.pods[]; .identity == "spiffe://cluster.local/ns/default/sa/" + .service_account)'
	ask workloads '.workloads | map(.name) | sort == ["client", "far", "intruder", "near", "outsider"]'
	ask workloads '.workloads[] | select(.name == "outsider") | .protocol == "TCP"'
	ask services '.services[] | select(.hostname == "near.default.svc.cluster.local")
		| .ports | map({port, target_port}) == [{port: 80, target_port: 9000},
							{port: 81, target_port: 9001}]'
	ask services 'all(.services[].endpoints[]; .status == "Healthy" and .weight == 1)'
	ask policies '.policies == [{namespace: "default", name: "no-intruder", scope: "Namespace",
		action: "Deny", dry_run: false, rules: 1, warnings: []}]
		and (.missing | map({policy, count})) == [{policy: "default/not-there", count: 1}]'
	ask connections '.connections | map(.path + " " + .direction) | sort == ["direct inbound",
		"direct outbound", "hbone outbound", "passthrough outbound", "plain inbound"]'
	ask connections 'all(.connections[]; .sent_bytes >= 999 and .sent_bytes <= 1000
		and .received_bytes >= 999 and .received_bytes <= 1000 and .age_ms > 0)'
	ask connections '.connections[] | select(.path == "hbone")
		| .pod == "default/client" and .dst_workload == "far"
		and .dst_identity == "spiffe://cluster.local/ns/default/sa/far"
		and .service == "far.default.svc.cluster.local" and .action == "relay"'
	ask connections 'all(.connections[]; (.path | IN("direct", "passthrough")) == (.rtt_us != null))'
	ask drops '.drops | map({reason, count}) == [{reason: "policy_denied", count: 1}]'
	ask drops '.recent[-1] | .src_workload == "default/intruder" and .dst_workload == "default/near"
		and .policy == "default/no-intruder" and .where == "kernel"'
	ask certs '.certs[] | select(.identity == "spiffe://cluster.local/ns/default/sa/client")
		| .state == "ready" and .pods == 1 and .not_after_s > now and .next_s < .not_after_s'
}

# -- the tables have the same rows; neither ends in a blank nor has an empty title
for command in $COMMANDS; do
	out=$("$WEFT" --socket "$(socket node1)" "$command") || fail "weft $command: exit code $?"
	grep -q $'\e' <<<"$out" && fail "weft $command: colours without a terminal"
	grep -q ' $' <<<"$out" && fail "weft $command: blanks at the end of a line"
	grep -q 'null\|(none)\|nan' <<<"$out" && fail "weft $command: $out"
	declare "text_$command=$out"
done
says() {
	local name=text_$1
	grep -Eq "$2" <<<"${!name}" || fail "weft $1 does not say \"$2\": ${!name}"
}
# shellcheck disable=SC2154
{
	says status '^weftd .* on node node1: ready, up '
	says status 'Connections +4 open'
	says pods '^default +client +enrolled .* 3 '
	says workloads '^default +outsider .* TCP '
	says services '80>9000,81>9001 +1/1$'
	says policies '^default +no-intruder +Deny +Namespace +1 +no$'
	says connections '^default/client +out +default/far:80 +hbone '
	says drops '^policy_denied +1 '
	says drops 'default/intruder +default/near .* policy_denied +default/no-intruder +kernel$'
	says certs '^spiffe://cluster.local/ns/default/sa/client +ready +in '
}
wire_end_all

# -- exit codes
expect_code() {
	local want=$1 code=0
	shift
	"$@" >"$tmp/out" 2>"$tmp/err" || code=$?
	expect_eq "$code" "$want" "exit code of $*: $(cat "$tmp/out" "$tmp/err")"
}
for command in $COMMANDS; do
	expect_code 3 "$WEFT" --socket "$tmp/nobody.sock" "$command"
	grep -q 'weftd does not answer' "$tmp/err" || fail "weft $command: $(cat "$tmp/err")"
	expect_code 2 "$WEFT" "$command" superfluous
	expect_code 2 "$WEFT" "$command" --no-such-option
	expect_code 2 "$WEFT" "$command" -o yaml
done
expect_code 2 "$WEFT"
expect_code 2 "$WEFT" conections
expect_code 2 "$WEFT" connections -w -o json
expect_code 0 "$WEFT" help
expect_code 0 "$WEFT" connections --help
expect_code 0 "$WEFT" version
lab stop node1 >/dev/null || fail "weft lab stop"
expect_code 3 "$WEFT" --socket "$(socket node1)" status
expect_code 3 "$WEFT" --socket "$(socket node1)" -o json status
expect_eq "$(cat "$tmp/out")" "" "output without a daemon"
