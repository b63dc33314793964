#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A workload of the mesh file is replaced by another one (another uid) that has its pod and its address. A
# direct connection that is open goes on while the new one lets it in, and ends when that denies it: the
# policies of the pod that it reaches count, not those of the workload that it was opened to.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

policies='[{name: nobody, namespace: shop, scope: Namespace, action: Deny, rules: [[[{namespaces: [nobody]}]]]}]'
shop_up
web=$(ip_of web)
for who in near near-stranger; do
	hold "$who" "$who" "$web" 9000
	hold_ok "$who"
done
expect_eq "$(weft_json node1 connections | jq -r '[.connections[] | select(.direction == "inbound") | .path] |
	unique | join(" ")')" direct "paths"

mesh_edit sed 's|Pod/shop/web$|Pod/shop/web-of-today|'
grep -q web-of-today "$LAB_DIR/mesh.yaml" || fail "$(cat "$LAB_DIR/mesh.yaml")"
hold_ok near
hold_ok near-stranger

mesh_edit sed 's|\[nobody\]|[other]|; s|- nobody$|- other|; s|"nobody"\]|"other"]|'
line=$(hold_error near-stranger)
[[ $line == E* ]] || fail "near-stranger was not cut: \"$line\""
hold_ok near
[[ $(says near-stranger "$web" 9000) != ok ]] || fail "near-stranger may still dial"
