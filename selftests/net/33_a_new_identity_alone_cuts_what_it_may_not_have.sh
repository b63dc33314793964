#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The policies stay as they are, and a workload gets another service account: its open connections
# that the new identity may not have end at once, direct ones and those in tunnels. What it may
# have goes on, and so does what others have.
#
#        node1                                  node2
#   t/web (9000), t/a, t/b (direct)        t/far-a, t/far-b (HBONE to t/web)
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

account=reader
rule='{name: readers, namespace: t, scope: Namespace, action: Allow, rules: [[[{serviceAccounts: [t/reader]}]]]}'
policies="[$rule]"
shop_file() {
	cat <<-END
	nodes: [node1, node2]
	pods:
	  - {namespace: t, name: web, serviceAccount: web, node: node1, labels: {app: web},
	     policies: $web_policies, start: before, command: "$web_command"}
	  - {namespace: t, name: a, serviceAccount: $account, node: node1}
	  - {namespace: t, name: b, serviceAccount: reader, node: node1}
	  - {namespace: t, name: far-a, serviceAccount: $account, node: node2}
	  - {namespace: t, name: far-b, serviceAccount: reader, node: node2}
	services:
	  - {namespace: t, name: web, ports: {80: 9000}, selector: {app: web}}
	weftd: $weftd
	policies: $policies
	END
}

path_of() { # POD
	weft_json node1 connections | jq -r --arg pod "$1" \
		'[.connections[] | select(.direction == "inbound" and .src_workload == $pod) | .path] | unique | join(" ")'
}

is_cut() { # NAME
	local line
	line=$(hold_error "$1")
	[[ $line == E* ]] || fail "$1 was not cut: \"$line\""
	hold_end "$1"
}

identity_is() { # NODE POD ACCOUNT
	[[ $(weft_json "$1" pods | jq -r --arg pod "$2" '.pods[] | select(.name == $pod) | .identity') == \
		"spiffe://cluster.local/ns/t/sa/$3" ]]
}

shop_up
web=$(ip_of web)
for who in a b far-a far-b; do
	hold "$who" "$who" "$web" 9000
	hold_ok "$who"
done
expect_eq "$(path_of a) $(path_of far-a)" "direct hbone" "paths"

# ---- the same policies, another account
new_drops node1
account=guest
shop_apply
expect_eq "$(weft_json node1 policies | jq -c '[.policies[] | .name]')" '["readers"]' "policies"
is_cut a
is_cut far-a
hold_ok b
hold_ok far-b
wait_for 5 identity_is node1 a guest
wait_for 5 identity_is node2 far-a guest
for path in direct hbone; do
	wait_for 5 log_has node1 ".path == \"$path\" and .direction == \"inbound\"
		and ((.error // \"\") | startswith(\"policy_changed\"))"
done
[[ $(says a "$web" 9000) != ok ]] || fail "a is let in as a guest"
[[ $(says far-a "$web" 9000) != ok ]] || fail "far-a is let in as a guest"

# ---- and back: what the old identity could have, the new one may dial again
account=reader
shop_apply
for who in a far-a; do
	expect_eq "$(says "$who" web.t 80)" ok "$who as a reader"
	hold "$who" "$who" "$web" 9000
done

# ---- an identity that may as much: only its name is another
policies='[{name: readers, namespace: t, scope: Namespace, action: Allow,
	    rules: [[[{serviceAccounts: [t/reader, t/reader-2]}]]]}]'
shop_apply
account=reader-2
shop_apply
for who in a b far-a far-b; do
	hold_ok "$who"
done
