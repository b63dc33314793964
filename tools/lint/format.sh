#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Advice only, never a failure: how many files clang-format would lay out differently.

cd "$(dirname "$0")/../.." || exit 1

CLANG_FORMAT=${CLANG_FORMAT:-clang-format-19}
if ! command -v "$CLANG_FORMAT" >/dev/null; then
	echo "$CLANG_FORMAT is not installed"
	exit 4
fi
n=0
while read -r f; do
	cmp -s "$f" <("$CLANG_FORMAT" "$f") && continue
	echo "$f differs from clang-format"
	n=$((n + 1))
done < <(find bpf user tools selftests include -name '*.[ch]' | sort)
echo "$n files differ"
