#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# h2spec (github.com/summerwind/h2spec) against port 15008 of an enrolled pod: every case passes,
# but for those that need a server of web pages; each of these is named here, with its reason.
# h2spec has no client certificate, so a forwarder beside it does the mutual TLS. It is fetched
# as a Go module into $WEFT_INTEROP, outside of the tree.
. "$(dirname "$0")/../net/lib.sh"
. "$(dirname "$0")/../net/peers.sh"
. "$(dirname "$0")/../net/hostile.sh"

WEFT_INTEROP=${WEFT_INTEROP:-${XDG_CACHE_HOME:-$HOME/.cache}/weft-interop}
H2SPEC=$WEFT_INTEROP/go/bin/h2spec

fetch() {
	[[ -x $H2SPEC ]] && return
	command -v go >/dev/null || skip "no go to build h2spec with, and no $H2SPEC"
	mkdir -p "$WEFT_INTEROP" || skip "cannot make $WEFT_INTEROP"
	(cd "$WEFT_INTEROP" && GOPATH=$WEFT_INTEROP/go GOCACHE=$WEFT_INTEROP/cache GOFLAGS=-mod=mod \
		timeout 300 go install github.com/summerwind/h2spec/cmd/h2spec@latest) \
		>"$WEFT_INTEROP/h2spec.log" 2>&1 ||
		skip "h2spec is not to be had: $(tail -n 1 "$WEFT_INTEROP/h2spec.log")"
}

# The cases that cannot pass, by section and title. A request that is no CONNECT is answered with
# 400 and, when more of it could come, RST_STREAM(NO_ERROR), both at once; so no stream of h2spec
# is open for longer, and what comes for one that we have reset is ignored, as RFC 9113 5.1 wants
# it. The rules themselves are in selftests/unit/h2_rules.c and h2_flow.c.
expected() {
	cat <<-END
		generic/2 Sends a WINDOW_UPDATE frame on half-closed (remote) stream: wants DATA of a web page
		generic/2 Sends a PRIORITY frame on half-closed (remote) stream: wants DATA of a web page
		http2/5.1 closed: Sends a DATA frame after sending RST_STREAM frame: was reset by us before
		http2/5.1 closed: Sends a HEADERS frame after sending RST_STREAM frame: was reset by us before
		http2/5.1.2 Sends HEADERS frames that causes their advertised concurrent stream limit to be exceeded: none stays open
		http2/6.9 Sends a WINDOW_UPDATE frame with a flow control window increment of 0 on a stream: closed before
		http2/6.9.1 Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1 on a stream: closed before
		http2/8.1 Sends a second HEADERS frame without the END_STREAM flag: was reset by us before
		http2/8.1.2.1 Sends a HEADERS frame that contains a pseudo-header field as trailers: was reset by us before
		http2/8.1.2.6 Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload length: answered before its DATA
		http2/8.1.2.6 Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the multiple DATA frames payload length: answered before its DATA
		hpack/6.3 Sends a dynamic table size update larger than the value of SETTINGS_HEADER_TABLE_SIZE: allowed until the acknowledgement, tried again below
	END
}

# failures REPORT: "section title" of each
failures() {
	/usr/bin/python3 - "$1" <<-'END'
		import sys
		import xml.etree.ElementTree
		for case in xml.etree.ElementTree.parse(sys.argv[1]).iter("testcase"):
		    if case.find("failure") is not None or case.find("error") is not None:
		        print(case.get("package"), case.get("classname"))
	END
}

# shellcheck disable=SC2154 # of hostile.sh
forward() { # PORT [ack]
	"$WEFT" lab --name "$LAB" exec attacker -- /usr/bin/python3 -S "$H2RAW" -c "$tmp/$as.pem" \
		-k "$tmp/$as.key" "$server" forward "$@" >"$tmp/forward-$1" 2>&1 &
	background+=($!)
	disown
	wait_for 10 grep -q ready "$tmp/forward-$1"
}

h2spec() { # PORT SECTION...
	local port=$1
	shift
	pod attacker "$H2SPEC" -p "$port" -o 2 -j "$tmp/report.xml" "$@" >"$tmp/out" 2>&1
	[[ -s $tmp/report.xml ]] || fail "h2spec did not run: $(tail -n 5 "$tmp/out")"
	tail -n 1 "$tmp/out"
}

fetch
hostile_up
forward 7000
h2spec 7000
unexpected=0
while read -r case; do
	grep -qF -- "$case: " <(expected) && continue
	echo "fails: $case"
	unexpected=$((unexpected + 1))
done < <(failures "$tmp/report.xml")
((unexpected == 0)) || fail "$unexpected cases of h2spec fail that should not"

# With the acknowledgement this one can be judged.
forward 7001 ack
h2spec 7001 hpack/6.3
expect_eq "$(failures "$tmp/report.xml")" "" "hpack/6.3 behind the acknowledgement"
harmless 16 h2spec
