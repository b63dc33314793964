#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Which return statements of the programs the BPF tests reach: builds them with a counter in front
# of each (bpf/lib/cover.h), runs all tests in selftests/bpf/, and compares. A statement that no
# test reaches must be in selftests/bpf/cover.txt with the reason, and none that is reached.
# Root. Environment: O (build folder), CLANG, JOBS.

set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

O=${O:-build}/cover
pin=/sys/fs/bpf/weft_cover
known=selftests/bpf/cover.txt
files=128 lines=512 # as in bpf/lib/cover.h

[ "$(id -u)" -eq 0 ] || { echo "SKIP: needs root"; exit 4; }
rm -f "$pin"
trap 'rm -f "$pin"' EXIT
make -j"${JOBS:-2}" O="$O" COVER=1 WERROR=0 all bpftest-progs >"$O.log" 2>&1 || {
	tail -n 20 "$O.log"
	exit 1
}
for f in selftests/bpf/*.c; do
	name=$(basename "$f" .c)
	# budget is about programs without counters
	case $name in h_* | budget) continue ;; esac
	timeout 170 "$O/bpftest/$name" >"$O/$name.log" 2>&1 ||
		echo "$name: status $? with counters ($O/$name.log)"
done
[ -e "$pin" ] || { echo "nothing was counted"; exit 1; }

# place<tab>count of every place that was reached; a map of one number per place
reached()
{
	bpftool -j map dump pinned "$pin" | jq -r '.[] | .formatted // . |
		select(.value != 0) | "\(.key)\t\(.value)"'
}
reached >"$O/reached"

awk -v files="$files" -v lines="$lines" -v known="$known" '
function number(path,  name, a, d)
{
	name = path
	sub(/.*\//, "", name)
	a = ord[substr(name, 1, 1)]
	d = ord[substr(name, 4, 1)]
	return ((length(name) + 1) * 31 + a * 7 + d) % files
}
BEGIN {
	for (i = 1; i < 128; i++)
		ord[sprintf("%c", i)] = i
	while ((getline l < known) > 0) {
		if (l ~ /^#/ || l == "")
			continue
		where = l
		sub(/[ \t].*/, "", where)
		what = l
		sub(/^[^ \t]*[ \t]+/, "", what)
		excused[where] = what
	}
}
FILENAME ~ /\/reached$/ { hits[$1] = $2; next }
FNR == 1 {
	n = number(FILENAME)
	if (n in taken) {
		print FILENAME " and " taken[n] " have one number: change COVER_FILE"
		bad = 1
	}
	taken[n] = FILENAME
	fn = "?"
}
/^[a-z_].*\(/ && !/;$/ { fn = $0; sub(/\(.*/, "", fn); sub(/.*[ *]/, "", fn) }
/^int BPF|^SEC\(/ { next }
{
	code = $0
	sub(/\/\*.*/, "", code)
	if (code !~ /(^|[^a-z_])return([^a-z_]|$)/ || code ~ /^ \*/ || code ~ /^#/)
		next
	all++
	key = n * lines + FNR % lines
	text = code
	gsub(/^[ \t]+|[ \t]+$/, "", text)
	place = FILENAME ":" fn ":" ++nth[FILENAME, fn, text] ":" text
	gsub(/[ \t]/, "_", place)
	sub(/:1:/, ":", place)
	if (key in hits) {
		got++
		if (place in excused) {
			print FILENAME ":" FNR ": is reached, but in " known ": " place
			bad = 1
		}
	} else if (place in excused) {
		print "not reached: " FILENAME ":" FNR ": " text " (" excused[place] ")"
		given++
	} else {
		print "NOT REACHED: " FILENAME ":" FNR ": " place
		bad = 1
	}
}
END {
	printf "%d of %d return statements reached, %d excused\n", got, all, given
	exit bad
}' "$O/reached" bpf/*.bpf.c bpf/lib/[!c]*.h
