#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Installs the Debian packages that build, tests and demo need (Debian 12 and 13, root). Says
# nothing and needs no root when all are there. --dry-run prints what would be done; vm adds
# what tests on other kernels need (make selftest-vm).
#
# On Debian 12 libbpf, bpftool and the kernel headers come from bookworm-backports; when that
# suite is not enabled, it is, on the mirror that the machine already takes Debian from.
# Servers among the packages (nginx, prometheus, redis) are neither started nor enabled.

set -u

BACKPORTS_FILE=/etc/apt/sources.list.d/weft-backports.sources
LOG=/dev/null

build_packages=(gcc libc6-dev make pkg-config git clang-19 llvm-19 clang-format-19 clang-tidy-19
	libclang-rt-19-dev libelf-dev zlib1g-dev libxdp-dev libssl-dev libnghttp2-dev
	libjansson-dev libyaml-dev liburcu-dev libmnl-dev libmicrohttpd-dev libc-ares-dev libcap-ng-dev
	libcmocka-dev iproute2 procps curl)
test_packages=(wrk iperf3 redis-server redis-tools nginx-light prometheus tcpdump nghttp2-client
	socat netcat-openbsd iptables dnsmasq-base bind9-dnsutils jq python3 python3-pip openssl shellcheck)
x86_packages=(libipsec-mb-dev)
vm_packages=(qemu-system-x86 kmod cpio)
services=(redis-server nginx prometheus iperf3)
# name and the oldest version that will do: tcx in libbpf and in the uapi headers
backports=(libbpf-dev 1:1.3 bpftool 7.3 linux-libc-dev 6.6)

dry_run=
with_vm=
for arg in "$@"; do
	case $arg in
	--dry-run) dry_run=1 ;;
	vm) with_vm=1 ;;
	*) echo "usage: $0 [--dry-run] [vm]" >&2 && exit 2 ;;
	esac
done

die()
{
	echo "setup: $*" >&2
	exit 1
}

# missing_packages: those of the lists that dpkg does not have in a good version
missing_packages()
{
	local have name i
	local wanted=("${build_packages[@]}" "${test_packages[@]}")
	declare -A version=()

	[ "$(uname -m)" != x86_64 ] || wanted+=("${x86_packages[@]}")
	[ -z "$with_vm" ] || wanted+=("${vm_packages[@]}")
	while read -r status name have; do
		[[ $status != ?i* ]] || version[$name]=$have
	done < <(dpkg-query -W -f '${db:Status-Abbrev} ${Package} ${Version}\n' \
		"${wanted[@]}" "${backports[@]}" 2>/dev/null)

	for name in "${wanted[@]}"; do
		[ -n "${version[$name]:-}" ] || echo "$name"
	done
	for ((i = 0; i < ${#backports[@]}; i += 2)); do
		name=${backports[i]}
		have=${version[$name]:-}
		if [ -z "$have" ] || dpkg --compare-versions "$have" lt "${backports[i + 1]}"; then
			echo "$name"
		fi
	done
}

is_backport()
{
	local i
	for ((i = 0; i < ${#backports[@]}; i += 2)); do
		[ "${backports[i]}" != "$1" ] || return 0
	done
	return 1
}

# What apt itself made of the machine's sources, whatever their format:
# "origin|codename|component|uri|file:entry"
# shellcheck disable=SC2016 # apt fills these in
apt_sources()
{
	apt-get indextargets --format \
		'$(ORIGIN)|$(CODENAME)|$(COMPONENT)|$(REPO_URI)|$(SOURCESENTRY)' \
		'Created-By: Packages'
}

# signed_by file uri suite: the Signed-By of that entry (deb822 or one line), as deb822 text
signed_by()
{
	awk -v uri="$2" -v suite="$3" -v one_line="${1##*.}" '
	function same_uri(u)
	{
		sub(/\/+$/, "", u)
		return u == want
	}
	function has(list, word,  n, w, i)
	{
		n = split(list, w, /[ \t]+/)
		for (i = 1; i <= n; i++)
			if (w[i] == word || (word == want && same_uri(w[i])))
				return 1
		return 0
	}
	function flush()
	{
		if (!done && has(field["uris"], want) && has(field["suites"], suite)) {
			done = 1
			if (field["signed-by"] != "")
				print "Signed-By:" field["signed-by"]
		}
		split("", field)
		key = ""
	}
	BEGIN { want = uri; sub(/\/+$/, "", want) }
	/^[ \t]*#/ { next }
	one_line == "list" {
		if ($1 != "deb" || done || !has($0, want) || !has($0, suite))
			next
		if (match($0, /signed-by=[^] \t]+/)) {
			done = 1
			print "Signed-By: " substr($0, RSTART + 10, RLENGTH - 10)
		}
		next
	}
	/^[ \t]*$/ { flush(); next }
	/^[ \t]/ { field[key] = field[key] "\n" $0; next }
	{
		key = tolower($0)
		sub(/:.*/, "", key)
		value = $0
		sub(/^[^:]*:/, "", value)
		field[key] = value
	}
	END { flush() }' "$1"
}

# The text of a deb822 source for the backports suite of $1 on the machine's own mirror.
backports_source()
{
	local codename=$1 origin name component uri entry
	while IFS='|' read -r origin name component uri entry; do
		[ "$origin|$name|$component" = "Debian|$codename|main" ] ||
			continue
		printf '# Written by tools/setup.sh\nTypes: deb\nURIs: %s\nSuites: %s\n' \
			"$uri" "$codename-backports"
		printf 'Components: main\n'
		signed_by "${entry%:*}" "$uri" "$codename"
		return 0
	done < <(apt_sources)
	return 1
}

backports_enabled()
{
	apt_sources | grep -q "|$1-backports|main|"
}

enable_backports()
{
	local text
	text=$(backports_source "$1") ||
		die "no apt source of Debian $1 found; please enable $1-backports by hand"
	if [ -n "$dry_run" ]; then
		printf 'would write %s:\n%s\n' "$BACKPORTS_FILE" "$text"
		return
	fi
	echo "setup: enabling $1-backports ($BACKPORTS_FILE)"
	printf '%s\n' "$text" >"$BACKPORTS_FILE"
	apt-get update -q >>"$LOG" 2>&1
	backports_enabled "$1" && return
	rm -f "$BACKPORTS_FILE"
	tail -n 20 "$LOG" >&2
	die "the mirror has no $1-backports; please enable it by hand"
}

policy_file=/usr/sbin/policy-rc.d
policy_ours=

# While we install, no server is started (policy-rc.d of another owner stays as it is).
forbid_starts()
{
	[ -e "$policy_file" ] && return
	policy_ours=1
	printf '#!/bin/sh\nexit 101\n' >"$policy_file"
	chmod +x "$policy_file"
}

# shellcheck disable=SC2317 # called by the trap
allow_starts()
{
	[ -z "$policy_ours" ] || rm -f "$policy_file"
}

# Nor are those that came with this run started at the next boot.
disable_new_services()
{
	local s
	for s in "$@"; do
		if command -v systemctl >/dev/null; then
			systemctl disable "$s" >>"$LOG" 2>&1
		else
			update-rc.d "$s" disable >>"$LOG" 2>&1
		fi
	done
}

main()
{
	local missing codename p s args=() new_services=()
	local apt=(apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300
		-o Dpkg::Options::=--force-confold)

	command -v dpkg-query >/dev/null || die "this is no Debian; see the lists in $0"
	mapfile -t missing < <(missing_packages)
	[ "${#missing[@]}" -gt 0 ] || return 0

	# shellcheck source=/dev/null
	codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
	[ -n "$dry_run" ] || [ "$(id -u)" -eq 0 ] ||
		die "missing packages: ${missing[*]}; run: sudo make setup"

	export DEBIAN_FRONTEND=noninteractive
	if [ -z "$dry_run" ]; then
		LOG=$(mktemp --tmpdir weft-setup.XXXXXX.log) || exit 1
		echo "setup: reading package lists"
		# A third-party source that fails is not our business; the install tells.
		apt-get update -q >>"$LOG" 2>&1
	fi
	if [ "$codename" = bookworm ] && ! backports_enabled "$codename"; then
		enable_backports "$codename"
	fi
	for p in "${missing[@]}"; do
		if [ "$codename" = bookworm ] && is_backport "$p"; then
			args+=("$p/bookworm-backports")
		else
			args+=("$p")
		fi
	done
	if [ -n "$dry_run" ]; then
		echo "would install: ${args[*]}"
		return 0
	fi
	for s in "${services[@]}"; do
		[ -e "/etc/init.d/$s" ] || [ -e "/lib/systemd/system/$s.service" ] ||
			new_services+=("$s")
	done
	echo "setup: installing ${#args[@]} packages (log: $LOG): ${missing[*]}"
	trap allow_starts EXIT
	forbid_starts
	if ! "${apt[@]}" install "${args[@]}" >>"$LOG" 2>&1; then
		tail -n 30 "$LOG" >&2
		die "apt-get could not install: ${args[*]}"
	fi
	disable_new_services "${new_services[@]}"
	mapfile -t missing < <(missing_packages)
	[ "${#missing[@]}" -eq 0 ] || die "still missing or too old: ${missing[*]}"
	echo "setup: done"
}

main
