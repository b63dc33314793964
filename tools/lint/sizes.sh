#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Functions of at most 60 lines, from brace to brace; up to 100 with a comment "long: reason"
# directly in front. Files of at most 600 lines.

cd "$(dirname "$0")/../.." || exit 1

find bpf user tools selftests -name '*.[ch]' | sort | xargs -r awk '
function complain(line, what)
{
	print file ":" line ": " what
	bad = 1
}
function file_end()
{
	if (last > 600)
		complain(last, "file has " last " lines, at most 600")
}
FNR == 1 {
	if (file)
		file_end()
	file = FILENAME
	start = 0
	long = 0
}
{ last = FNR }
/long:/ && /^[ \t]*(\/\*|\*|\/\/)/ { long = 1 }
/^$/ && !start { long = 0 }
/^\{/ { start = FNR; name = before }
/^\}/ && start {
	n = FNR - start + 1
	limit = long ? 100 : 60
	if (n > limit)
		complain(start, "function has " n " lines, at most " limit ": " name)
	start = 0
	long = 0
}
{ before = $0 }
END {
	if (file)
		file_end()
	exit bad
}'
