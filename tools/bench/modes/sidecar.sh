# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
title="Envoy sidecars, mutual TLS"
places="same cross"

# shellcheck source=tools/bench/envoy.sh
. "$BENCH/envoy.sh"

up() {
	local pod
	lab_need plain
	[[ ! -s $WORK/sidecar-far.pid ]] || return 0
	envoy_certs
	for pod in sidecar-client sidecar-near sidecar-far; do
		envoy_start plain "$pod" "$pod"
	done
	for pod in sidecar-client sidecar-near sidecar-far; do
		envoy_wait plain "$pod"
	done
}

target() {
	local server=sidecar-far
	[[ $1 == cross ]] || server=sidecar-near
	aim plain sidecar-client "$(pod_ip plain $server)" 0 "$(pids_of sidecar-client $server)" $server
}

crowd() {
	local i pods=()
	crowd_make plain
	envoy_certs
	for ((i = 1; i <= crowd_pods; i++)); do
		pods+=("c$i" "s$i")
		envoy_start crowd c$i crowd-c$i
		envoy_start crowd s$i crowd-s$i
	done
	for i in "${pods[@]}"; do
		envoy_wait crowd "$i"
	done
	pids_of "${pods[@]/#/crowd-}" >"$WORK/crowd.pids"
}
