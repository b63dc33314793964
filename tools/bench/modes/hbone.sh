# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
title="weft, mutual TLS tunnel (HBONE)"
places="cross"

up() {
	lab_need mesh
}

target() {
	aim mesh client "$(pod_ip mesh far)" 0 "$(weftd_pids mesh)" far
}

crowd() {
	crowd_make weft
	weftd_pids crowd >"$WORK/crowd.pids"
}
