#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The server sees the address of the client's pod whatever the way, the client the address that
# it dialled, also that of a service. A port where nobody listens ends the connection with an
# error, is logged as connect_failed and was never an open connection.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/relay.sh"

relay_lab_up

# whoami also compares getpeername(2) with what was dialled
sees() { # POD ADDRESS PORT WANTED
	expect_eq "$(relay "$1" whoami "$2" "$3")" "$4 $4" "what the server at $2 sees of $1"
}

sees client "$NEAR4" 9004 "$CLIENT4"
sees client "$NEAR6" 9004 "$CLIENT6"
sees client "$FAR4" 9004 "$CLIENT4"
sees client "$FAR6" 9004 "$CLIENT6"
sees outsider "$FAR4" 9004 "$OUTSIDER4"
sees outsider "$FAR6" 9004 "$OUTSIDER6"
mapfile -t vips < <(weft_json node1 services | jq -r '.services[0].vips[]')
expect_eq "${#vips[@]}" 2 "VIPs of the service"
sees client "${vips[0]}" 80 "$CLIENT4"
sees client "${vips[1]}" 80 "$CLIENT6"

drops() { # NODE REASON WORKLOAD: how many of the recent ones
	weft_json "$1" drops | jq --arg r "$2" --arg src "$3" \
		'[.recent[] | select(.reason == $r and (.src_workload | endswith($src)))] | length'
}
dropped() {
	expect_eq "$(drops "$1" "$2" "$3")" "$4" "drops of $1 for $2"
}

opened=$(metric node1 'istio_tcp_connections_opened_total{destination_workload="far"}')
for address in "$FAR4" "$FAR6"; do
	expect_ok relay client refused "$address" 9999
done
wait_for 5 dropped node2 connect_failed client 2
wait_for 5 dropped node1 peer_refused client 2
expect_eq "$(grep -c 'direction="inbound".*connect_failed' "$LAB_DIR/node2/access.log")" 2 \
	"lines in the access log"
expect_eq "$(metric node1 'istio_tcp_connections_opened_total{destination_workload="far"}')" \
	"$opened" "opened connections"

for address in "$FAR4" "$FAR6"; do
	expect_ok relay outsider refused "$address" 9999
done
wait_for 5 dropped node2 connect_failed outsider 2
for node in node1 node2; do
	wait_for 5 no_connections "$node"
done
