#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Generated policy sets on two nodes, and thousands of connections: from enrolled pods to pods of
# their own node and of the other one, from pods that are not enrolled, over IPv4 and IPv6. Who
# gets through is what a second evaluator says (selftests/policy/reference.py), and weft policy
# test says the same, with the same deciding policy. SEED and SETS (5 or more)
# make other sets and more of them.
. "$(dirname "$0")/lib.sh"
. "$ROOT/selftests/net/policy.sh"

SETS=${SETS:-10}
SEED=${SEED:-1}
GENERATED="/usr/bin/python3 $ROOT/selftests/net/generated.py"
sources=(red1 blue1 green1 red2 blue2 plain1 plain2)

generated() {
	# shellcheck disable=SC2086 # words
	$GENERATED "$@"
}

listens() {
	local p
	for p in 9000 9001 9002 9003; do
		pod "$1" nc -z 127.0.0.1 "$p" || return
	done
}

echo "seed $SEED"
lab_up - < <(generated lab)
for source in "${sources[@]}"; do
	wait_for 20 listens "$source"
done
dir=$peers_tmp
read -r total allowed < <(lab status -o json | generated make "$dir" "$SETS" "$SEED")
((total >= 2000 && allowed >= total / 5 && allowed <= total - total / 5)) ||
	fail "$total connections, $allowed of them allowed: these sets prove too little"

dial() { # SET: all sources at the same time
	local pids=() source
	for source in "${sources[@]}"; do
		# shellcheck disable=SC2086 # words
		pod "$source" $GENERATED dial <"$dir/$1.$source" >"$dir/$1.$source.got" &
		pids+=($!)
	done
	wait "${pids[@]}" || fail "set $1: a client failed"
}

made=0
for ((set = 0; set < SETS; set++)); do
	mesh_change lab apply "$dir/$set.lab"
	dial "$set"
	out=$(generated compare "$dir" "$set") || fail "compare: $out"
	n=$(tail -n 1 <<<"$out")
	[[ $out == "$n" ]] || fail "seed $SEED: $out"
	((made += n))
	lab mesh >"$dir/mesh.yaml" || fail "lab mesh"
	out=$("$WEFT" policy test --mesh "$dir/mesh.yaml" "$dir/$set.table") ||
		fail "seed $SEED, set $set: $(grep -A 20 '^FAIL' <<<"$out" | head -40)"
done
expect_eq "$made" "$total" "connections"
for path in direct hbone plain; do
	for node in node1 node2; do
		case $path in
		direct) n=$(event "$node" connect_direct) ;;
		hbone) n=$(event "$node" lookup_hbone) ;;
		plain) n=$(event "$node" lookup_plain) ;;
		esac
		((n > 0)) || fail "no connection on $node went the way $path"
	done
done
echo "$made connections, $allowed allowed"
