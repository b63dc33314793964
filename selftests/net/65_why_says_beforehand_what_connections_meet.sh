#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# weft why and weft policy test, asked at the daemons: what they say is what connections meet, on
# every path; they show the kernel's cached verdict, and are loud if it is not that of the
# policies. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

# why NODE SOURCE DESTINATION: story is the JSON, code the exit code.
why() {
	code=0
	story=$("$WEFT" --socket "$LAB_DIR/$1/weftd.sock" -o json why "$2" "$3" 2>"$peers_tmp/err") || code=$?
	[[ $code == [01] ]] || fail "weft why $2 $3: exit code $code: $(cat "$peers_tmp/err")"
}

tells() {
	jq -e "$1" <<<"$story" >/dev/null || fail "not true: $1 in $(jq -c . <<<"$story")"
}

# agrees NODE NAMESPACE/POD HOST PORT: the same as a connection meets; sets got.
agrees() {
	got=$(says "${2#*/}" "$3" "$4")
	if [[ $3 == *:* ]]; then
		why "$1" "$2" "[$3]:$4"
	else
		why "$1" "$2" "$3:$4"
	fi
	if [[ $got == ok ]]; then
		expect_eq "$code $(jq -r .verdict <<<"$story")" "0 allow" "why $2 to $3:$4, which gets through"
	else
		expect_eq "$code $(jq -r .verdict <<<"$story")" "1 deny" "why $2 to $3:$4, which says $got"
	fi
}

policies='[{name: clients, namespace: shop, scope: Namespace, action: Allow,
	    rules: [[[{serviceAccounts: [shop/client]}], [{destinationPorts: [9000, 9001]}]]]},
	   {name: port, namespace: root, scope: Global, action: Deny, rules: [[[{destinationPorts: [9001]}]]]}]'
policies_before=$policies
shop_up
web=$(ip_of web)
web6=$(ip_of web 6)

# ---- every path, and the policy that decides
for at in web.shop:80 "$web:9000" "$web:9001" "$web:9002"; do
	for client in shop/near other/near-stranger; do
		agrees node1 "$client" "${at%:*}" "${at##*:}"
		tells 'all(.routes[]; .path == "direct")'
	done
	for client in shop/far other/far-stranger; do
		agrees node2 "$client" "${at%:*}" "${at##*:}"
		tells 'all(.routes[]; .path == "hbone" and .cache.state == "not-asked")'
	done
done
agrees node1 shop/near "$web6" 9000
agrees node2 shop/far "$web6" 9002
why node1 shop/near web.shop:80
tells '.policy == "shop/clients" and .routes[0].rule == 0 and .source.enrolled_known and .node == "node1"'
tells '.source.identity == "spiffe://cluster.local/ns/shop/sa/client"'
tells '.routes | map(.to) | any(endswith(":9000"))'
tells '.routes[0].policies | map({(.policy): .matches}) | add == {"shop/clients": true, "root/port": false}'
why node1 shop/near "$web:9001"
tells '.policy == "root/port" and .reason == "policy_denied"'
why node2 other/far-stranger web.shop:80
tells '.policy == "" and .routes[0].policies[-1].ruled_out[0].field == "serviceAccounts"'
why node1 outside "$web:9000"
tells '.verdict == "deny" and .routes[0].path == "plain" and .source.identity == ""'
[[ $(peer @fabric who "$web" 9000) != own=* ]] || fail "a stranger gets through"
why node1 shop/near "$(ip_of far):15008"
tells '.reason == "reserved_port" and .routes[0].path == "refused"'
why node1 shop/near 172.31.250.254:1
tells '.verdict == "allow" and .routes[0].path == "passthrough"'

# ---- plaintext that nobody may send is refused at the SYN, and said to be
policies='[{name: strict, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{notPrincipals: ["*"]}], [{notDestinationPorts: [9002]}]]]}]'
shop_apply
why node1 outside "$web:9000"
tells '.verdict == "deny" and .routes[0].at_syn and
	(.routes[0].path_sentence | endswith("refused at the SYN, by the kernel of node1"))'
expect_eq "$(says @fabric "$web" 9000)" ECONNREFUSED "plaintext to a strict port"
why node1 outside "$web:9002"
tells '.verdict == "allow" and (.routes[0].at_syn | not)'
policies='[{name: strict, namespace: shop, scope: Namespace, action: Deny,
	    rules: [[[{sourceIps: [172.31.250.254]}]]]}]'
shop_apply
why node1 172.31.250.254 "$web:9000"
tells '.verdict == "deny" and (.routes[0].at_syn | not) and (.routes[0].path_sentence | endswith("weftd of node1 decides"))'
policies=$policies_before
shop_apply

# ---- at another node than that of the source enrolment is assumed
why node2 shop/near web.shop:80
tells '.node == "node2" and .source.enrolled and (.source.enrolled_known | not)'

# ---- the kernel's cache
why node1 shop/near "$web:9000" # declared by the service: made before anybody connects
tells '.routes[0].cache | .state == "hit" and .verdict == "allow" and .epoch == .epoch_now'
shop_apply # raises the epoch, and forgets pairs that no service declares
why node1 shop/near "$web:9002"
tells '.routes[0].cache | .state == "miss" and .epoch == 0 and .epoch_now > 0'
[[ $(says near "$web" 9002) != ok ]] || fail "near gets through to 9002"
why node1 shop/near "$web:9002"
tells '.routes[0].cache | .state == "hit" and .verdict == "deny" and (.disagrees | not)'

# ---- a wrong verdict in the kernel is a bug, and told as one
id() {
	weft_json node1 workloads | jq ".workloads[] | select(.name == \"$1\") | .id"
}
bytes() { # VALUE SIZE: little endian
	local i
	for ((i = 0; i < $2; i++)); do
		printf '%d ' $((($1 >> (8 * i)) & 255))
	done
}
map=$(pins node1)/weft_verdicts
epoch=$(jq .routes[0].cache.epoch_now <<<"$story")
# shellcheck disable=SC2046 # words
bpftool map update pinned "$map" key $(bytes "$(id near)" 4) $(bytes "$(id web)" 4) $(bytes 9000 4) \
	value $(bytes "$epoch" 4) $(bytes 2 4) || fail "cannot write $map"
why node1 shop/near "$web:9000"
expect_eq "$code" 1 "exit code with a wrong verdict in the kernel"
tells '.kernel_disagrees and .verdict == "allow" and .routes[0].cache.disagrees'
grep -q 'bug of weftd' "$peers_tmp/err" || fail "no word on stderr: $(cat "$peers_tmp/err")"
[[ $(weft_on node1 why shop/near "$web:9000" 2>/dev/null) == *"THIS IS A BUG"* ]] || fail "no word in the text"
expect_ok weft_on node1 reload
why node1 shop/near "$web:9000"
tells '(.kernel_disagrees | not) and .verdict == "allow"'

# ---- who leaves the mesh has no identity any more
expect_ok weft_on node1 pod unenrol shop/near
why node1 shop/near "$web:9000"
tells '.routes[0].path == "plain" and .verdict == "deny" and (.source | .enrolled_known and (.enrolled | not))'
[[ $(says near "$web" 9000) != ok ]] || fail "near gets through without an identity"
expect_ok weft_on node1 pod enrol shop/near --netns "/var/run/netns/$LAB-shop-near"

# ---- tables
cat >"$peers_tmp/good.yaml" <<END
- {from: shop/near, to: web.shop, port: 80, expect: allow, policy: shop/clients}
- {from: shop/far, to: "$web:9001", expect: deny, policy: root/port}
- {from: other/far-stranger, to: shop/web, port: 9000, expect: deny, policy: "", name: strangers}
END
out=$(weft_on node2 policy test "$peers_tmp/good.yaml") || fail "policy test: $out"
expect_eq "$(tail -n 1 <<<"$out")" "3 passed, 0 failed" "summary"
sed 's/expect: allow/expect: deny/; s/root.port/shop\/clients/' "$peers_tmp/good.yaml" >"$peers_tmp/bad.yaml"
out=$(weft_on node1 -o json policy test "$peers_tmp/bad.yaml") && fail "policy test of wrong expectations: $out"
jq -e '.ok and .passed == 1 and .failed == 2 and (.cases | map(.passed) == [false, false, true])
	and .cases[0].error == "expected deny, got allow" and .cases[0].why.verdict == "allow"
	and .cases[1].error == "expected deny by shop/clients, but root/port decided"
	and .cases[2].name == "strangers" and (.cases[2] | has("why") | not)' <<<"$out" >/dev/null ||
	fail "policy test -o json: $out"

# ---- without a daemon: the same verdicts from the lab's mesh file
lab mesh >"$peers_tmp/mesh.yaml" || fail "lab mesh"
out=$("$WEFT" policy test --mesh "$peers_tmp/mesh.yaml" "$peers_tmp/good.yaml") || fail "offline: $out"

# ---- keys are those of docs/control.md
documented=$(sed -n '/^## why/,$p' "$ROOT/docs/control.md" | sed -n 's/^| \(`[a-z_`, ]*`\) |.*/\1/p' |
	tr -d '` ' | tr , '\n' | sort)
expect_eq "$(jq -r 'keys[] | select(. != "ok")' <<<"$story" | sort)" "$documented" "keys of why -o json"

# ---- exit codes
expect_code() {
	local want=$1 code=0
	shift
	"$@" >"$peers_tmp/out" 2>&1 || code=$?
	expect_eq "$code" "$want" "exit code of $*: $(cat "$peers_tmp/out")"
}
expect_code 2 weft_on node1 why shop/nobody web.shop:80
grep -q 'the mesh has no such pod' "$peers_tmp/out" || fail "$(cat "$peers_tmp/out")"
expect_code 2 weft_on node1 why shop/near
expect_code 0 weft_on node1 why shop/near web.shop # it has one port only
expect_code 2 weft_on node1 why shop/near "$web"
expect_code 2 weft_on node1 policy test "$peers_tmp/nothing.yaml"
expect_code 2 weft_on node1 policy test
expect_code 2 "$WEFT" why --mesh "$peers_tmp/nothing.yaml" a/b c/d:1
expect_code 2 "$WEFT" why --mesh "$peers_tmp/mesh.yaml" --node node1 shop/near web.shop:80
expect_code 3 "$WEFT" --socket "$peers_tmp/nobody.sock" why shop/near web.shop:80
expect_code 3 "$WEFT" --socket "$peers_tmp/nobody.sock" policy test "$peers_tmp/good.yaml"
