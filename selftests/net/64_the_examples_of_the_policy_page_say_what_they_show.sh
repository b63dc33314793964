#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# docs/policies.md: its mesh files and tables are written out, its commands run without a
# daemon, and what they print is what the page shows.
. "$(dirname "$0")/lib.sh"

tmp=$(mktemp -d)
examples_end() {
	local code=$?
	rm -rf "$tmp"
	(exit "$code")
	lib_end
}
trap examples_end EXIT

# ```yaml blocks begin with "# NAME"; a ```console block is "$ COMMAND" and its output.
awk -v dir="$tmp" '
	/^```/ {
		kind = inside ? "" : substr($0, 4)
		inside = !inside
		first = 1
		next
	}
	kind == "yaml" && first { file = dir "/" substr($0, 3) }
	kind == "yaml" { print >file }
	kind == "console" && /^\$ weft / {
		n++
		print substr($0, 8) >(dir "/command." n)
		next
	}
	kind == "console" { print >(dir "/want." n) }
	{ first = 0 }
	END { print n >(dir "/count") }' "$ROOT/docs/policies.md"

count=$(<"$tmp/count")
((count >= 6)) || fail "the page has $count examples only"
cd "$tmp" || fail "no $tmp"
install -m 755 "$WEFT" weft # the source tree may be for root only
chmod -R go+rX .
for ((i = 1; i <= count; i++)); do
	read -ra command <"command.$i"
	code=0
	# Nobody in particular: neither root nor a daemon is needed.
	setpriv --reuid=65534 --regid=65534 --clear-groups ./weft "${command[@]}" >"got.$i" 2>&1 || code=$?
	diff "want.$i" "got.$i" >"diff.$i" || fail "weft ${command[*]}: $(cat "diff.$i")"
	want=0
	grep -q '^denied\|^FAIL' "want.$i" && want=1
	expect_eq "$code" "$want" "exit code of weft ${command[*]}"
done
