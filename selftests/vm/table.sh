#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# docs/kernels.md and what `weft check` found in the runs of make selftest-vm:
#   table.sh --write         writes the table anew, from all of build/vm/*/test/check.json
#   table.sh --check KERNEL  fails, saying which rows, if the table says something else of it
#
# Environment: O (build folder).

set -eu -o pipefail
cd "$(dirname "$0")/../.."

O=${O:-build}
page=docs/kernels.md
begin='<!-- written by selftests/vm/table.sh -->'
end='<!-- end -->'

# name<tab>state<tab>text of one run
rows()
{
	jq -r '.checks[] | select(.group == "kernel") | [.name, .state, .text] | @tsv' \
		"$O/vm/$1/test/check.json"
}

# "6.12": the head of a version
head_of()
{
	jq -r .kernel "$O/vm/$1/test/check.json" | grep -oE '^[0-9]+\.[0-9]+'
}

runs()
{
	local f
	for f in "$O"/vm/[0-9h]*/test/check.json; do
		f=${f%/test/check.json}
		echo "${f##*/}"
	done | sort -V
}

table()
{
	local k name
	local -a all
	mapfile -t all < <(runs)
	printf '| |'
	for k in "${all[@]}"; do
		printf ' Linux %s |' "$(head_of "$k")"
	done
	printf '\n|---|'
	for k in "${all[@]}"; do
		printf -- '---|'
	done
	echo
	for k in "${all[@]}"; do
		rows "$k" | cut -f 1
	done | awk '!seen[$0]++' | while read -r name; do
		printf '| `%s` |' "$name"
		for k in "${all[@]}"; do
			printf ' %s |' "$(rows "$k" | awk -F '\t' -v n="$name" '$1 == n { print $2 }')"
		done
		echo
	done
	echo
	echo 'What is not "ok" means:'
	echo
	for k in "${all[@]}"; do
		rows "$k" | awk -F '\t' '$2 != "ok" { print "- `" $1 "`, " $2 ": " $3 "." }'
	done | awk '!seen[$0]++'
}

# name<tab>state of one kernel, as the page has it
documented()
{
	awk -F ' *\\| *' -v want="Linux $1" '
		/^\| +\|/ { for (i = 1; i <= NF; i++) if ($i == want) column = i }
		/^\| `/ && column { gsub(/`/, "", $2); print $2 "\t" $column }' "$page"
}

case ${1:-} in
--write)
	{
		sed "\|^$begin\$|q" "$page"
		table
		sed -n "\|^$end\$|,\$p" "$page"
	} >"$O/vm/kernels.md"
	cat "$O/vm/kernels.md" >"$page"
	;;
--check)
	diff <(documented "$(head_of "$2")") <(rows "$2" | cut -f 1,2)
	;;
*)
	sed -n '3,9p' "$0"
	exit 2
	;;
esac
