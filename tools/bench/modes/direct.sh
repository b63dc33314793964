# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
title="weft, decided in the kernel"
places="same"

up() {
	lab_need mesh
}

target() {
	aim mesh client "$(pod_ip mesh near)" 0 "$(weftd_pids mesh)" near
}
