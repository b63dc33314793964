#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Every script passes shellcheck.

cd "$(dirname "$0")/../.." || exit 1

if ! command -v shellcheck >/dev/null; then
	echo "shellcheck is not installed"
	exit 4
fi
find .ci tools selftests -type f \( -name '*.sh' -o -path './.ci/*' -o -path '.ci/*' \) -print0 |
	xargs -0 -r shellcheck -S warning -x -P selftests/net
