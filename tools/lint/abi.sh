#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# The contract: every struct of include/weft states its size, and no compiler adds padding. The
# size assertions themselves hold for both sides because both compile them here.

cd "$(dirname "$0")/../.." || exit 1
bad=0

unstated=$(awk '
/^struct [a-z_0-9]+ \{/ { where[$2] = FILENAME ":" FNR }
/static_assert\(sizeof\(struct / {
	s = $0
	sub(/.*sizeof\(struct /, "", s)
	sub(/\).*/, "", s)
	stated[s] = 1
}
END { for (s in where) if (!(s in stated)) print where[s] ": struct " s " has no size assertion" }
' include/weft/*.h)
if [ -n "$unstated" ]; then
	echo "$unstated"
	bad=1
fi

all=$(printf '#include "%s"\n' include/weft/*.h)
gcc -std=gnu17 -fsyntax-only -Wall -Wextra -Wpadded -Werror -Iinclude -I. -x c - <<<"$all" || bad=1
"${CLANG:-clang-19}" -target bpf -std=gnu17 -fsyntax-only -Wall -Wextra -Wpadded -Werror -Iinclude \
	-I"/usr/include/$(gcc -print-multiarch)" -I. -x c - <<<"$all" || bad=1
exit $bad
