# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2154
# Figures that need labs of their own: memory per pod, per 100,000 workloads, and that of a crowd
# of 20 pods with 1,000 connections between them. Sourced by run.sh.

# kb_of PIDS: their proportional set size and that of their BPF maps, "KB KB"
kb_of() {
	"$LOAD" pss --pids "$1" | sed -n 's/.*"kb":\([0-9.]*\),"map_kb":\([0-9.]*\).*/\1 \2/p'
}

# record FIGURE MODE PLACE REP KEY VALUE
record() {
	"$LOAD" value --key "$5" --value "$6" --tag mode="$2" --tag place="$3" --tag test="$1" \
		--tag rep="$4" --out "$out/raw.jsonl"
}

# mb KB
mb() {
	awk -v kb="$1" 'BEGIN { printf "%.3f", kb / 1024 }'
}

# more A B N: how much B is above A, for each of N
more() {
	awk -v a="$1" -v b="$2" -v n="$3" 'BEGIN { printf "%.3f", (b > a) ? (b - a) / n : 0 }'
}

# ---- per pod: weftd by how much it grows from a node with one pod to one with many; Envoy and
# relay that of one of three processes, whose program text is shared ----

# weft_alone PODS WORKLOADS: "KB KB" of weftd on a node of its own with that many enrolled pods, and
# more workloads of its mesh that live elsewhere
weft_alone() {
	{
		echo "nodes: [node1]"
		echo "pods:"
		awk -v n="$1" 'BEGIN { for (i = 0; i < n; i++)
			printf "  - {name: p%d, node: node1, serviceAccount: s%d}\n", i, i }'
		[[ $2 == 0 ]] || echo "workloads:"
		awk -v n="$2" 'BEGIN { for (i = 0; i < n; i++)
			printf "  - {name: w%d, namespace: n%d, serviceAccount: s%d, workloadIps: [\"10.%d.%d.%d\"], protocol: HBONE, node: x%d}\n",
				i, i / 1000, i / 10, 100 + i / 65536, i / 256 % 256, i % 256, i / 30 }'
	} >"$WORK/alone.yaml"
	: >"$WORK/lab-crowd.up"
	lab crowd up --weftd "$WEFTD" "$WORK/alone.yaml" >/dev/null || die "no lab with $1 pods and $2 workloads"
	kb_of "$(weftd_pids crowd)"
	lab_drop
}

pods_weft() {
	local rep=$1 count=100 one many
	[[ ! $quick ]] || count=20
	one=$(weft_alone 1 0) && many=$(weft_alone $((count + 1)) 0) || die "cannot measure weftd per pod"
	record pods weft '' "$rep" kb_per_pod "$(more "${one% *}" "${many% *}" $count)"
	record pods weft '' "$rep" mb_daemon "$(mb "${one% *}")"
	record pods weft '' "$rep" map_mb_daemon "$(mb "${one#* }")"
}

pods_processes() {
	local mode=$1 rep=$2 kb
	"${mode}_up"
	kb=$(kb_of "$(pids_of "$mode-client" "$mode-near" "$mode-far")")
	record pods "$mode" '' "$rep" kb_per_pod "$(more 0 "${kb% *}" 3)"
}

# Sidecars that are told of the whole mesh grow with it, too; those of the benchmark are not, so
# there is nothing to compare with.
workloads_weft() {
	local rep=$1 count=100000 none all
	none=$(weft_alone 1 0) && all=$(weft_alone 1 $count) || die "cannot measure weftd with $count workloads"
	record workloads weft '' "$rep" mb_100k "$(more "${none% *}" "${all% *}" 1024)"
	record workloads weft '' "$rep" map_mb_100k "$(more "${none#* }" "${all#* }" 1024)"
}

# ---- the crowd: ten pods of one node hold ten connections each to ten pods of the other ----
crowd_pods=10 crowd_each=10

# crowd_make weft|plain: the lab; pods c1... on node1, s1... on node2
crowd_make() {
	local i options=(--weftd "$WEFTD")
	[[ $1 == weft ]] || options=(--no-weftd)
	{
		echo "nodes: [node1, node2]"
		echo "congestion: $CONGESTION"
		echo "pods:"
		for ((i = 1; i <= crowd_pods; i++)); do
			echo "  - {name: c$i, node: node1}"
			echo "  - {name: s$i, node: node2, command: '$LOAD server --port 9000'}"
		done
	} >"$WORK/crowd.yaml"
	lab_make crowd "$WORK/crowd.yaml" "${options[@]}"
}

# crowd_measure MODE REP: the mode's crowd() makes the lab and prints the proxies' pids
crowd_measure() {
	local mode=$1 rep=$2 i pids before after to=() fd
	"${mode}_crowd" || die "no crowd"
	pids=$(<"$WORK/crowd.pids")
	before=$(kb_of "$pids")
	for ((i = 1; i <= crowd_pods; i++)); do
		to+=(--to "$(pod_ip crowd s$i):9000")
	done
	rm -f "$WORK/crowd.in" "$WORK"/crowd.out.*
	mkfifo "$WORK/crowd.in" || die "no fifo"
	for ((i = 1; i <= crowd_pods; i++)); do
		lab crowd exec c$i -- "$LOAD" keep --streams $crowd_each "${to[@]}" \
			<"$WORK/crowd.in" >"$WORK/crowd.out.$i" &
	done
	exec {fd}>"$WORK/crowd.in" # they end when this is closed
	for ((i = 0; i < 600; i++)); do
		[[ $(cat "$WORK"/crowd.out.* | wc -l) != "$crowd_pods" ]] || break
		sleep 0.1
	done
	[[ $(cat "$WORK"/crowd.out.* | wc -l) == "$crowd_pods" ]] || die "the connections did not come up"
	after=$(kb_of "$pids")
	exec {fd}>&-
	wait
	record crowd "$mode" cross "$rep" mb_crowd_0 "$(mb "${before% *}")"
	record crowd "$mode" cross "$rep" mb_crowd "$(mb "${after% *}")"
	[[ ${after#* } == 0.0 ]] || record crowd "$mode" cross "$rep" map_mb_crowd "$(mb "${after#* }")"
}
