#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What must not be in the tree: functions without bounds or error report, traces in BPF code,
# types of unsure size in the contract, waiting by time in tests, paths and hosts of one machine.

cd "$(dirname "$0")/../.." || exit 1
bad=0

# complain text matches: prints the matches, if any, below the text
complain()
{
	[ -n "${2//[[:space:]]/}" ] || return
	printf '%s:\n%s\n' "$1" "$2"
	bad=1
}

code() # the code of C files without comments, as file:line:text
{
	find "$@" -name '*.[ch]' | sort | xargs -r awk '
	FNR == 1 { inside = 0 }
	{
		s = $0
		if (inside) {
			if (!match(s, /\*\//))
				next
			s = substr(s, RSTART + 2)
			inside = 0
		}
		gsub(/\/\*[^*]*\*\//, "", s)
		sub(/[ \t]\/\/.*|^\/\/.*/, "", s)
		if (match(s, /\/\*/)) {
			s = substr(s, 1, RSTART - 1)
			inside = 1
		}
		print FILENAME ":" FNR ":" s
	}'
}

calls='strcpy|strcat|sprintf|vsprintf|strtok|gets|atoi|atol|alloca'
complain "forbidden calls (use base/str.h, snprintf)" \
	"$(code bpf user tools selftests include |
		grep -E ":.*(^|[^[:alnum:]_])($calls)[[:space:]]*\(")"

complain "bpf_printk in BPF code (count it, or send an event)" \
	"$(code bpf | grep -E 'bpf_(trace_)?printk')"

complain "bool or enum in a struct of the contract (its size is the compiler's choice)" \
	"$(code include/weft | awk '
	{ s = $0; sub(/^[^:]*:[^:]*:/, "", s) }
	s ~ /^struct [a-z_0-9]+ \{/ { inside = 1; next }
	s ~ /^\}/ { inside = 0 }
	inside && s ~ /(^|[^a-z_0-9])(bool|_Bool|enum)[ \t]/ { print $0 }')"

complain "sleep in a test (wait for the condition; '# keeper' marks a process that only holds
a namespace, '# poll' the pause inside a wait with a deadline)" \
	"$(grep -rnE --include='*.sh' --include='*.py' --exclude=run.sh \
		'(^|[^[:alnum:]_.-]|time\.)sleep[ (]' selftests |
		grep -vE '# (keeper|poll)|^[^:]*:[0-9]+:[[:space:]]*#')
$(code selftests | grep -E '(^|[^[:alnum:]_])(u|nano|clock_nano)?sleep[[:space:]]*\(')"

# The brackets keep this file from finding itself.
paths='(^|[^[:alnum:]_.$}*])/(wor[k]|roo[t])/|\.\./share[d]'
hosts='(deb|security|archive|snapshot|ftp)\.debia[n]\.org|pyp[i]\.org|registry\.npmj[s]'
hosts="$hosts|proxy\.golan[g]|crate[s]\.io|docke[r]\.io|ghc[r]\.io|qua[y]\.io|[^[:alnum:]]gc[r]\.io"
complain "paths or registry hosts of one machine" \
	"$(find . \( -path ./.git -o -path ./build -o -path "./${O:-build}" -o -name corpus \
		-o -name compile_commands.json \) -prune -o -type f -print0 |
		xargs -0 -r grep -nEI "$paths|$hosts")"
exit $bad
