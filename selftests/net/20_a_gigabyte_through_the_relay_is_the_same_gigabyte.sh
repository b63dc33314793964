#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Uploads and downloads arrive with the same digest: over HBONE and directly, IPv4 and IPv6.
# A gigabyte once each way through the tunnel; as much as counters say.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_lab_up

bytes() { # SIZE: cheap bytes without a pattern, the same ones every time
	openssl enc -aes-128-ctr -K 5eed -iv 0 -in /dev/zero 2>/dev/null | head -c "$1"
}

# Names of files of this many bytes, with their digests
big=$((1 << 30)) small=$((32 << 20))
bytes $big >"$WORK/big"
bytes $small >"$WORK/small"
read -r big_sum _ < <(sha256sum "$WORK/big")
read -r small_sum _ < <(sha256sum "$WORK/small")

upload() { # ADDRESS FILE SUM
	local size got
	size=$(stat -c %s "$2")
	got=$(pod t/client socat -b 262144 -t 60 "FILE:$2,rdonly!!-" "TCP:$1:9001") || fail "socat to $1"
	expect_eq "$got" "$size $3" "upload to $1"
}

download() { # ADDRESS FILE SUM
	local got
	got=$(printf '%s\n' "$2" | pod t/client socat -b 262144 -t 60 - "TCP:$1:9002" | sha256sum) ||
		fail "socat from $1"
	expect_eq "${got%% *}" "$3" "download from $1"
}

for address in "$FAR4" "[$FAR6]" "$NEAR4" "[$NEAR6]"; do
	case $address in
	"$FAR4") file=$WORK/big sum=$big_sum ;;
	*) file=$WORK/small sum=$small_sum ;;
	esac
	upload "$address" "$file" "$sum"
	download "$address" "$file" "$sum"
done

# Nothing but this, an answer of the sink and a name for the source went through the relay.
all=$((big + small))
counted() { # FAMILY
	local n
	n=$(metric node1 "$1{reporter=\"source\",destination_workload=\"far\"}")
	((n >= all && n < all + 10000)) || { echo "$1 $n, sent $all" && false; }
}
wait_for 5 counted istio_tcp_received_bytes_total
wait_for 5 counted istio_tcp_sent_bytes_total
wait_for 5 no_connections node1
wait_for 5 no_connections node2
