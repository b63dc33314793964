# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Memory of the proxies per pod, without connections. weftd: by how much it grows from a node with
# one pod to one with many. Envoy and relay: that of one of three processes, whose program text
# is shared. Sourced by run.sh.

# pods_weft COUNT: KB of weftd on a node with that many pods
pods_weft() {
	local i kb
	{
		echo "nodes: [node1]"
		echo "pods:"
		for ((i = 0; i < $1; i++)); do
			echo "  - {name: p$i, node: node1, serviceAccount: s$i}"
		done
	} >"$WORK/pods.yaml"
	lab mesh down >/dev/null 2>&1
	lab mesh up --weftd "$WEFTD" "$WORK/pods.yaml" >/dev/null || die "lab with $1 pods"
	kb=$("$LOAD" pss --pids "$(weftd_pids)" | sed -n 's/.*"kb":\([0-9.]*\).*/\1/p')
	lab mesh down >/dev/null
	echo "$kb"
}

pods_record() {
	"$LOAD" value --key kb_per_pod --value "$2" --tag case="$1" --tag mode="$1" --tag place= \
		--tag test=pods --tag rep="$3" --out "$out/raw.jsonl"
}

pods_processes() {
	local mode=$1 kb
	"${mode}_up"
	kb=$("$LOAD" pss --pids "$(pids_of "$mode-client" "$mode-near" "$mode-far")" |
		sed -n 's/.*"kb":\([0-9.]*\).*/\1/p')
	awk -v kb="$kb" 'BEGIN { printf "%.1f", kb / 3 }'
	all_down
}

# run_pods: for those of the modes that have proxies
run_pods() {
	local rep mode one many count=100
	[[ ! $quick ]] || count=20
	for ((rep = 1; rep <= reps; rep++)); do
		progress "" pods "$rep"
		for mode in relay sidecar; do
			[[ " ${modes[*]} " != *" $mode "* ]] ||
				pods_record "$mode" "$(pods_processes "$mode")" "$rep"
		done
		if [[ " ${modes[*]} " == *" hbone "* ]]; then
			all_down
			one=$(pods_weft 1) many=$(pods_weft "$((count + 1))")
			pods_record weft "$(awk -v a="$one" -v b="$many" -v n="$count" \
				'BEGIN { printf "%.2f", (b > a) ? (b - a) / n : 0 }')" "$rep"
		fi
	done
	all_down
}
