# SPDX-License-Identifier: Apache-2.0
# Adds up the lines "fault: WHAT: N [things] tried, N survived, N lost" that scenarios say.
/^fault: / {
	sub(/ *[(;].*/, "") # further numbers
	split(substr($0, 8), part, ": ")
	what = part[1]
	if (!(what in runs))
		order[++count] = what
	runs[what]++
	for (i = 2; i <= NF; i++) {
		if ($i ~ /^[0-9]+$/)
			number = $i
		else if ($i ~ /^(tried|survived|lost),?$/)
			n[what, substr($i, 1, 4)] += number
	}
}
END {
	for (i = 1; i <= count; i++)
		printf "%s: %d tried, %d survived, %d lost in %d runs\n", order[i], n[order[i], "trie"],
			n[order[i], "surv"], n[order[i], "lost"], runs[order[i]]
}
