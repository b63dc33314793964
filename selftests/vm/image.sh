#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Makes what a virtual machine boots: image.sh KERNEL FOLDER. KERNEL is the head of a version of
# Debian's cloud kernel (6.1, 6.12), taken from the machine's own package sources and unpacked,
# not installed. FOLDER gets vmlinuz and initrd. Everything runs from the initrd: the programs of
# this machine that the tests use, the libraries they need, kernel modules, and the build. So
# no disk, no file sharing and no network are asked of that kernel.
#
# Environment: O (build folder).

set -eu -o pipefail
shopt -s nullglob

O=$(realpath "${O:-build}")
kernel=$1
out=$(realpath -m "$2")
root=$out/root
ARCH=$(dpkg --print-architecture)

# Whole packages, less what nobody runs; those that are not installed are left out, and the
# tests that want them say so.
packages=(bash dash coreutils util-linux mount mawk grep sed findutils diffutils procps iproute2 kmod
	tar gzip hostname ncurses-bin libc-bin openssl curl jq bpftool nftables iptables libxtables12
	ethtool libxdp1 dnsmasq-base bind9-dnsutils
	python3-minimal python3.11-minimal python3.13-minimal libpython3.11-minimal
	libpython3.13-minimal libpython3.11-stdlib libpython3.13-stdlib
	tcpdump socat netcat-openbsd iperf3 wrk nginx-light nginx-common nginx redis-server
	redis-tools nghttp2-client)
skip='^/usr/(share/(doc|man|info|locale|lintian|bash-completion|zsh|perl5|i18n)|lib/systemd)|^/(lib/systemd|etc/init.d)|/lib2to3/|/pydoc_data/|/idlelib/|/test/'
# What of /lib/modules is worth its size.
modules=(kernel/net kernel/drivers/net kernel/crypto kernel/lib kernel/arch/x86/crypto)

die()
{
	echo "vm: $*" >&2
	exit 1
}

# The newest package with a cloud kernel of this version: "name=version"
kernel_package()
{
	apt-cache show "linux-image-cloud-$ARCH" 2>/dev/null | awk -v want="$kernel" '
		/^Depends:/ {
			name = $2
			sub(/,.*/, "", name)
			v = name
			sub(/^linux-image-/, "", v)
			if (found == "" && (index(v, want ".") == 1 || index(v, want "-") == 1))
				found = name
		}
		END { print found }'
}

unpack_kernel()
{
	local name deb
	name=$(kernel_package)
	[ -n "$name" ] || die "apt knows no linux-image-cloud-$ARCH of version $kernel" \
		"(6.12 is in bookworm-backports; try apt-get update)"
	if [ "$(cat "$out/package" 2>/dev/null)" = "$name" ]; then
		return
	fi
	rm -rf "$out"
	mkdir -p "$out/deb"
	echo "unpacking $name"
	(cd "$out/deb" && apt-get download -q "$name" >/dev/null) || die "cannot download $name"
	for deb in "$out"/deb/*.deb; do
		dpkg-deb -x "$deb" "$out/kernel"
	done
	rm -rf "$out/deb"
	cp "$out"/kernel/boot/vmlinuz-* "$out/vmlinuz"
	echo "$name" >"$out/package"
}

copy_modules()
{
	local version m d
	for d in "$out"/kernel/lib/modules/* "$out"/kernel/usr/lib/modules/*; do
		version=${d##*/}
		mkdir -p "$root/usr/lib/modules/$version"
		for m in "${modules[@]}"; do
			[ ! -d "$d/$m" ] ||
				(cd "$d" && cp -a --parents "$m" "$root/usr/lib/modules/$version/")
		done
		cp "$d"/modules.builtin* "$d"/modules.order "$root/usr/lib/modules/$version/"
		depmod -b "$root/usr" "$version"
	done
}

# Files of the packages, from dpkg's lists.
package_files()
{
	local p
	for p in "${packages[@]}"; do
		dpkg -L "$p" 2>/dev/null || true
	done | grep -Ev "$skip" | sort -u
}

# The libraries of all programs on stdin.
libraries()
{
	{ xargs -r -n 50 ldd 2>/dev/null || true; } | awk '
		$2 == "=>" && $3 ~ /^\// { print $3; next }
		$1 ~ /^\// && /\(0x/ { print $1 }' | sort -u
}

copy_list()
{
	sed 's|^/||; /^\.*$/d' | tar -C / --no-recursion -cf - --files-from=- |
		tar -C "$root" --keep-directory-symlink -xf -
}

# A build program into the image, at the same place below /weft.
copy_build()
{
	local f
	for f in "$@"; do
		[ -e "$f" ] || continue
		install -D -m 0755 "$f" "$root/weft/build/${f#"$O"/}"
		# no debugger in there
		strip --strip-debug "$root/weft/build/${f#"$O"/}"
	done
}

make_root()
{
	local l
	rm -rf "$root"
	mkdir -p "$root"/{usr/bin,usr/sbin,usr/lib,usr/lib64,proc,sys,dev,run,tmp,root,var/log,etc}
	for l in bin sbin lib lib64; do
		ln -s "usr/$l" "$root/$l"
	done
	ln -s /run "$root/var/run"
	{
		package_files
		find /usr/bin /usr/sbin -lname '/etc/alternatives/*'
	} | while read -r l; do
		# what dpkg lists may have been removed
		[ ! -e "$l" ] || echo "$l"
	done >"$out/files"
	copy_list <"$out/files"
	for l in passwd group nsswitch.conf protocols services hosts host.conf ld.so.conf alternatives \
		ssl/openssl.cnf ld.so.conf.d iproute2; do
		[ ! -e "/etc/$l" ] || (cd / && cp -a --parents "etc/$l" "$root/")
	done
	copy_build "$O/weft" "$O/weftd" "$O/weft-bench-ktls" "$O"/bpftest/* "$O"/san-address-undefined/unit/tls_*
	find "$root/usr/bin" "$root/usr/sbin" "$root/usr/lib" "$root/weft" -type f \
		\( -perm /0100 -o -name '*.so*' \) >"$out/elf"
	libraries <"$out/elf" | sed "s|^$root||" | while read -r l; do
		echo "$l"
		realpath "$l"
	done | sort -u | copy_list
	ldconfig -r "$root" 2>/dev/null || true
	mkdir -p "$root/weft/tools"
	cp -a selftests "$root/weft/"
	cp -a tools/lab "$root/weft/tools/"
	rm -rf "$root/weft/selftests/fuzz"
	install -m 0755 selftests/vm/init "$root/init"
}

unpack_kernel
make_root
copy_modules
(cd "$root" && find . -print0 | cpio --quiet -0 -o -H newc -R 0:0) >"$out/initrd.new"
mv "$out/initrd.new" "$out/initrd"
rm -rf "$root"
