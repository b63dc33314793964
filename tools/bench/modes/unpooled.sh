# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
# As hbone, but each tunnel carries one connection (tunnel_connections: 1), so that each
# connection pays for a TLS handshake, as it does with sidecars.
title="weft, a tunnel of its own for each connection"
places="cross"
figures="conn-* ttfb"

up() {
	lab_need fresh
}

target() {
	aim fresh client "$(pod_ip fresh far)" 0 "$(weftd_pids fresh)" far
}
