#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A peer with a valid certificate that sends what is not HTTP/2, or pointless frames without
# end: its connection is ended (GOAWAY or close), nobody else notices.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

hostile_up
hold before client "$server" 9000
remember

out=$(attack broken) || fail "h2raw: $out"
echo "$out"
(($(wc -l <<<"$out") >= 30)) || fail "not all cases were tried"
bad=$(grep -vE ' (goaway:([1-9]|1[0-3])|closed|reset)$' <<<"$out")
[[ -z $bad ]] || fail "not ended: $bad"
hold_ok before
harmless 8 "broken HTTP/2"

# deaf and talkative
said=$(attack ping-deaf 2000000)
[[ $said != open ]] || fail "2,000,000 PINGs without reading: $said"
hold_ok before
harmless 8 "PINGs whose answers are not read"
