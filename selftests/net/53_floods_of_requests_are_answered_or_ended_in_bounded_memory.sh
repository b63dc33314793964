#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A peer with a valid certificate that sends legal requests in masses: more streams at once
# than are allowed, streams that are reset as soon as they are open, ten thousand at once.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

MAX=100 # SETTINGS_MAX_CONCURRENT_STREAMS

count_of() {
	sed -E "s/.*$1=([0-9]+).*/\1/" <<<"$2"
}

hostile_up
hold before client "$server" 9000
remember

# as many as are allowed, and one more
out=$(attack streams "$app" $MAX)
expect_eq "$out" "200=$MAX other=0 refused=0 open" "$MAX streams"
out=$(attack streams "$app" $((MAX + 50)))
expect_eq "$out" "200=$MAX other=0 refused=50 open" "$((MAX + 50)) streams"
harmless 16 "many streams"

out=$(attack streams "$app" 10000)
(($(count_of 200 "$out") <= MAX)) || fail "10,000 streams: $out"
hold_ok before
harmless 16 "10,000 streams"

out=$(attack reset-flood "$app" 10000)
expect_eq "$out" ended "rapid reset"
hold_ok before
harmless 16 "rapid reset"

# to a port where nobody listens, to a foreign address: cheap answers in masses
for where in "$server:1" 10.1.2.3:80; do
	attack streams "$where" 5000 >/dev/null || fail "h2raw"
	attack reset-flood "$where" 5000 >/dev/null || fail "h2raw"
done
hold_ok before
harmless 16 "floods of refused requests"
