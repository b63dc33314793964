#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Who may include whom: a room only itself and the rooms above it in user/ROOMS; bpf/ and
# include/weft/ only the contract and kernel headers. No include cycle among headers. Libraries
# that belong to one room stay there.

cd "$(dirname "$0")/../.." || exit 1
bad=0

files=$(find user bpf include/weft -name '*.[ch]' | sort)

# shellcheck disable=SC2086 # a list of names without blanks
awk '
function complain(what)
{
	print FILENAME ":" FNR ": " what
	bad = 1
}
function check_user(inc, quoted,  room, target)
{
	room = part[2]
	if (!quoted) {
		if (inc ~ /^bpf\// && room != "kern")
			complain("only kern/ knows libbpf")
		if (inc ~ /^microhttpd/ && room != "admin")
			complain("only admin/ knows libmicrohttpd")
		return
	}
	if (inc == "config.h" || inc == "version.h" || inc ~ /^weft\//)
		return
	if (inc ~ /\.skel\.h$/) {
		if (room != "kern")
			complain("only kern/ includes the skeleton")
		return
	}
	target = inc
	sub(/\/.*/, "", target)
	if (!(target in rank))
		complain("\"" inc "\": write it as \"room/file.h\"")
	else if (rank[target] > rank[room])
		complain("room " room " may not include " inc)
}
function check_bpf(inc, quoted)
{
	if (quoted ? inc !~ /^(weft|lib)\// && !(inc in stub) : inc !~ /^(linux|bpf)\//)
		complain("bpf/ may not include " inc)
}
function check_contract(inc, quoted)
{
	if (quoted ? inc !~ /^weft\// : inc != "linux/types.h" && inc != "assert.h")
		complain("include/weft may not include " inc)
}
BEGIN {
	while ((getline line <"user/ROOMS") > 0)
		rank[line] = ++n
	while (("ls vmlinux" | getline line) > 0)
		stub[line] = 1
}
FNR == 1 {
	split(FILENAME, part, "/")
	if (part[1] == "user" && !(part[2] in rank))
		complain("room " part[2] " is not in user/ROOMS")
}
/^[ \t]*#[ \t]*include[ \t]*["<]/ {
	quoted = $0 ~ /include[ \t]*"/
	inc = $0
	sub(/^[^"<]*["<]/, "", inc)
	sub(/[">].*/, "", inc)
	if (part[1] == "user")
		check_user(inc, quoted)
	else if (part[1] == "bpf")
		check_bpf(inc, quoted)
	else
		check_contract(inc, quoted)
}
END { exit bad }' $files || bad=1

# Header to header edges; tsort complains about a loop and names its members.
loops=$(for dir in user bpf include; do
	find "$dir" -name '*.h' | sed "s|^$dir/||" | while read -r h; do
		sed -n 's/^#[ \t]*include[ \t]*"\([^"]*\)".*/\1/p' "$dir/$h" | sed "s|^|$h |"
	done | tsort 2>&1 >/dev/null
done)
if [ -n "$loops" ]; then
	echo "include cycle:"
	echo "$loops"
	bad=1
fi
exit $bad
