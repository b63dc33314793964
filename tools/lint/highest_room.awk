# SPDX-License-Identifier: Apache-2.0
# awk -f highest_room.awk user/ROOMS file.c...: prints "file:room", the highest room that the
# file includes a header of or is named after (unit/<room>_x.c); the last room if there is none.
FNR == NR { rank[$1] = FNR; name[FNR] = $1; last = FNR; next }
FNR == 1 {
	finish()
	file = FILENAME
	base = file
	sub(/.*\//, "", base)
	sub(/_.*/, "", base)
	top = (base in rank) ? rank[base] : 0
}
/^#[ \t]*include[ \t]+"/ {
	split($0, part, "\"")
	room = part[2]
	if (sub(/\/.*/, "", room) && (room in rank) && rank[room] > top)
		top = rank[room]
}
END { finish() }
function finish()
{
	if (file)
		print file ":" name[top ? top : last]
}
