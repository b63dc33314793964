# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
title="weft, client in the mesh, server outside of it"
places="cross"
figures="bulk-* rtt-* paced-* conn-* ttfb http* req-*"

up() {
	lab_need mesh
}

target() {
	aim mesh client "$(pod_ip mesh stranger)" 0 "$(weftd_pids mesh)" stranger
}
