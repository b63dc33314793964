# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# client -> relay in the client's pod -> relay in the server's pod -> server. The relay of the
# client has ports for the near server (9100, ...) and the far one (9200, ...).
title="two plain relays (copy, no TLS)"
places="same cross"

up() {
	local p port near far routes=()
	lab_need plain
	[[ ! -s $WORK/relay-client.pid ]] || return 0
	near=$(pod_ip plain relay-near) far=$(pod_ip plain relay-far)
	for p in 9000 8080 8081; do
		routes+=("127.0.0.1:$((p + 100))=$near:$((p + 10000))" "127.0.0.1:$((p + 200))=$far:$((p + 10000))")
	done
	pod_spawn plain relay-client relay-client "$RELAY" "${routes[@]}"
	for p in near far; do
		routes=()
		for port in 9000 8080 8081; do
			routes+=("0.0.0.0:$((port + 10000))=127.0.0.1:$port")
		done
		pod_spawn plain relay-$p relay-$p "$RELAY" "${routes[@]}"
		wait_port plain relay-$p 19000
	done
	wait_port plain relay-client 9200
}

target() {
	if [[ $1 == same ]]; then
		aim plain relay-client 127.0.0.1 100 "$(pids_of relay-client relay-near)" relay-near
	else
		aim plain relay-client 127.0.0.1 200 "$(pids_of relay-client relay-far)" relay-far
	fi
}
