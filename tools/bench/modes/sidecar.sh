# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
title="Envoy sidecars, mutual TLS"
places="same cross"

# shellcheck source=tools/bench/envoy.sh
. "$BENCH/envoy.sh"

up() {
	local pod
	lab_need plain
	[[ ! -s $WORK/sidecar-client.pid ]] || return 0
	envoy_certs || die "cannot make certificates for Envoy"
	for pod in sidecar-client sidecar-near sidecar-far; do
		envoy_config >"$WORK/envoy/$pod.yaml"
		envoy_redirect | lab plain exec "$pod" -- nft -f - || die "nft: no redirect in $pod"
		pod_spawn plain "$pod" "$pod" setpriv --regid "$ENVOY_GID" --clear-groups "$ENVOY" \
			-c "$WORK/envoy/$pod.yaml" --disable-hot-restart -l error --concurrency "$(nproc)"
	done
	for pod in sidecar-client sidecar-near sidecar-far; do
		wait_port plain "$pod" 15001
		wait_port plain "$pod" 15006
	done
}

target() {
	local server=sidecar-far
	[[ $1 == cross ]] || server=sidecar-near
	aim plain sidecar-client "$(pod_ip plain $server)" 0 "$(pids_of sidecar-client $server)"
}
