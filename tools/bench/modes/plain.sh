# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
title="TCP without any mesh"
places="same cross"

up() {
	lab_need plain
}

target() {
	local server=plain-far
	[[ $1 == cross ]] || server=plain-near
	aim plain plain-client "$(pod_ip plain $server)" 0 '' $server
}
