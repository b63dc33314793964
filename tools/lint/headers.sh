#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every header compiles alone: with gcc, the contract also for BPF, those of bpf/ only there.

cd "$(dirname "$0")/../.." || exit 1

CLANG=${CLANG:-clang-19}
multiarch=$(gcc -print-multiarch)
gen=${O:-build}/gen
if [ ! -f "$gen/config.h" ]; then
	# nothing was built yet
	gen=$(mktemp -d)
	trap 'rm -rf "$gen"' EXIT
	printf '#pragma once\n#define HAVE_IPSEC_MB 0\n' >"$gen/config.h"
	printf '#pragma once\n#define WEFT_VERSION "lint"\n' >"$gen/version.h"
fi
export CLANG multiarch gen

compile_user()
{
	echo "#include \"$1\"" | gcc -std=gnu17 -D_GNU_SOURCE -fsyntax-only -Wall -Wextra -Wundef \
		-Wno-unused-function -Werror -fmax-errors=3 -I"$gen" -Iinclude -Iuser -Itools/weft -Iselftests \
		-I"$(dirname "$1")" -I. -x c - ||
		{ echo "$1 does not compile alone"; return 1; }
}

compile_bpf()
{
	echo "#include \"$1\"" | "$CLANG" -target bpf -std=gnu17 -D__TARGET_ARCH_x86 -fsyntax-only \
		-Wall -Wno-unused-function -Werror -ferror-limit=3 -Iinclude -Ibpf -Ivmlinux \
		-I"/usr/include/$multiarch" -I. -x c - ||
		{ echo "$1 does not compile alone for BPF"; return 1; }
}
export -f compile_user compile_bpf

bad=0
find include/weft user tools/weft selftests -name '*.h' ! -path 'selftests/bpf/*' -print0 |
	xargs -0 -r -P "$(nproc)" -I{} bash -c 'compile_user {}' || bad=1
find include/weft bpf -name '*.h' -print0 |
	xargs -0 -r -P "$(nproc)" -I{} bash -c 'compile_bpf {}' || bad=1
exit $bad
