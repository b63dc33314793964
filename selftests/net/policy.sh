# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A small shop for the scenarios about policies and the mesh file, on top of peers.sh.
#
#        node1                          node2
#   shop/web  9000 9001 9002
#   shop/near (client)            shop/far (client)
#   other/near-stranger           other/far-stranger
#
# Service web.shop: 80 -> 9000. What the scenario puts into policies, web_policies (of shop/web)
# and weftd (keys for weftd.yaml) becomes part of the lab file.
#
#   shop_up                   lab with these pods; web answers
#   shop_apply                the lab file again, with what the variables are now
#   says POD HOST PORT        "ok" or the name of the error, of a new connection
#   log_has NODE FILTER       the access log has a line for which the jq filter is true
#   drop_has NODE FILTER      so has the list of recent drops
#   new_drops NODE            forget: the filters look at later lines and drops only
. "$ROOT/selftests/net/peers.sh"

policies='[]'
web_policies='[]'
weftd='{}'
web_command=$PEER' serve 9000 9001 9002'
declare -A log_from=() drops_from=()

shop_file() {
	cat <<-END
	nodes: [node1, node2]
	pods:
	  - {namespace: shop, name: web, serviceAccount: web, node: node1, labels: {app: web},
	     policies: $web_policies, start: before, command: "$web_command"}
	  - {namespace: shop, name: near, serviceAccount: client, node: node1}
	  - {namespace: other, name: near-stranger, serviceAccount: stranger, node: node1}
	  - {namespace: shop, name: far, serviceAccount: client, node: node2}
	  - {namespace: other, name: far-stranger, serviceAccount: stranger, node: node2}
	services:
	  - {namespace: shop, name: web, ports: {80: 9000}, selector: {app: web}}
	weftd: $weftd
	policies: $policies
	END
}

says() {
	local out
	if out=$(peer "$1" who "$2" "$3"); then
		echo ok
	else
		echo "$out"
	fi
}

web_listens() {
	local port
	for port in 9000 9001 9002; do
		pod web nc -z 127.0.0.1 "$port" || return
	done
}

shop_up() {
	weftd=${weftd/#\{/{access_log_format: json, }
	lab_up - < <(shop_file)
	wait_for 10 web_listens
	new_drops node1
	new_drops node2
}

shop_write() {
	lab apply - < <(shop_file)
}

shop_apply() {
	mesh_change shop_write
}

new_drops() {
	log_from[$1]=$(wc -l <"$LAB_DIR/$1/access.log")
	drops_from[$1]=$(weft_json "$1" drops | jq '[.drops[].count] | add // 0')
}

log_lines() {
	tail -n "+$((log_from[$1] + 1))" "$LAB_DIR/$1/access.log"
}

log_has() {
	log_lines "$1" | jq -es "any(.[]; $2)" >/dev/null
}

drop_has() {
	weft_json "$1" drops | jq -e --argjson from "${drops_from[$1]}" \
		"([.drops[].count] | add // 0) as \$all | .recent[-(\$all - \$from):] |
			\$all > \$from and any(.[]; $2)" >/dev/null
}
