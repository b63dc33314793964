# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
title="weft, client outside of the mesh, server in it"
places="cross"

up() {
	lab_need mesh
}

target() {
	aim mesh outside "$(pod_ip mesh far)" 0 "$(weftd_pids mesh)" far
}
