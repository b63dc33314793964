#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A mesh file that is wrong, cut off, empty or gone is reported and counted, and the mesh of
# before stays in force; the right one is applied however it got there. The pods: policy.sh.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

mesh=$LAB_DIR/mesh.yaml
good=$LAB_DIR/good.yaml

is_rejected() {
	(($(mesh_rejected node1) > $1 && $(mesh_rejected node2) > $2))
}

# refused WHAT ERROR CMD...: after CMD, both nodes say ERROR and the mesh works as before
refused() {
	local what=$1 error=$2 one two node status
	shift 2
	one=$(mesh_rejected node1)
	two=$(mesh_rejected node2)
	"$@"
	wait_for 10 is_rejected "$one" "$two"
	for node in node1 node2; do
		status=$(weft_json "$node" status)
		[[ $(jq -r .mesh.last_error <<<"$status") == "$mesh:"$error ]] ||
			fail "$what: status says $(jq -c .mesh <<<"$status")"
		expect_eq "$(jq -c '[.ready, .mesh.workloads, .mesh.services, .mesh.policies]' \
			<<<"$status")" '[true,5,1,1]' "$what: the mesh"
		grep -qF "$(jq -r .mesh.last_error <<<"$status")" "$LAB_DIR/$node/weftd.log" ||
			fail "$what: not in the log of $node"
		expect_eq "$(metric "$node" weft_mesh_rejected_total)" "$(mesh_rejected "$node")" \
			"weft_mesh_rejected_total"
	done
	weft_on node1 status | grep -q 'BROKEN, the last good state is in force' ||
		fail "$what: weft status says nothing"
	hold_ok near
	hold_ok far
	expect_eq "$(says near web.shop 80)" ok "$what: near"
	[[ $(says near-stranger web.shop 80) != ok ]] || fail "$what: near-stranger is let in"
}

well_again() {
	mesh_change "$@"
	expect_eq "$(weft_json node1 status | jq -r .mesh.last_error)" "" "last error, after $*"
	! weft_on node1 status | grep -q BROKEN || fail "still BROKEN after $*"
	hold_ok near
	hold_ok far
}

edit() {
	sed "$1" "$good" >"$mesh.new"
	mv "$mesh.new" "$mesh"
}

put_back() {
	cp "$good" "$mesh.new"
	mv "$mesh.new" "$mesh"
}

write_in_place() {
	cat "$good" >"$mesh"
}

cut_off() {
	head -c $(($(stat -c %s "$good") / 2)) "$good" >"$mesh"
}

empty() {
	: >"$mesh"
}

# As Kubernetes does it: mesh.yaml -> ..data/mesh.yaml, ..data -> a folder, swapped by a rename
config_map() {
	local dir=$LAB_DIR/..$1
	mkdir -p "$dir"
	cp "$good" "$dir/mesh.yaml"
	ln -sfn "..$1" "$LAB_DIR/..data_tmp"
	mv -T "$LAB_DIR/..data_tmp" "$LAB_DIR/..data"
	[[ -L $mesh ]] || ln -sf ..data/mesh.yaml "$mesh"
}

policies='[{name: no-strangers, namespace: shop, scope: Namespace, action: Deny,
            rules: [[[{namespaces: [other]}]]]}]'
shop_up
cp "$mesh" "$good"
hold near near web.shop 80
hold far far web.shop 80

line=$(grep -n 'protocol: HBONE' "$good" | sed -n '2{s/:.*//;p}')
refused 'a bad word' "$line: workloads[[]1].protocol: 'FOO' is not one of*" \
	edit "${line}s/HBONE/FOO/"
refused 'another bad word, in a file that was broken before' \
	"$line: workloads[[]1].protocol: 'BAR'*" edit "${line}s/HBONE/BAR/"
well_again put_back
line=$(grep -n 'action: Deny' "$good")
line=${line%%:*}
refused 'an unknown key' "$line: policies[[]0]*" edit "${line}s/action/acton/"
refused 'no YAML' '[0-9]*' edit '3s/.*/\t{{{/'
well_again put_back
refused 'half a file' '*' cut_off
well_again write_in_place
refused 'an empty file' '*' empty
well_again put_back
refused 'no file' ' No such file*' rm "$mesh"
refused 'a folder' '*' mkdir "$mesh"
rmdir "$mesh"
well_again put_back
well_again config_map one
well_again config_map two
refused 'a broken file behind the symlink' "$line: *" \
	sed -i "${line}s/action/acton/" "$LAB_DIR/..data/mesh.yaml"
well_again config_map three
expect_ok weft_on node1 reload
sed -i "${line}s/action/acton/" "$LAB_DIR/..data/mesh.yaml"
expect_fail weft_on node1 reload
(($(metric node1 weft_mesh_applied_total) >= 7)) || fail "versions that were applied are not counted"
