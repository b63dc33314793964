# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Scenarios with a control plane, on top of policy.sh and pki.sh: the stand-in istiod.py runs
# beside the nodes (@fabric) and serves the mesh that the lab has made.
#
#   istiod_start [CERT]      the stand-in, with the lab's mesh; certificate and token are in $istiod
#   istiod_says JSON         one command (see istiod.py); its answer
#   istiod_seen JQ           true if something in $istiod/log matches; new entries are fetched first
#   istiod_forget            the log is empty again
#   istiod_use NODE [KEY VALUE]...   that node's weftd takes its mesh from istiod from now on
#   xds NODE FILTER          of .mesh.istiod in `weft status`
. "$ROOT/selftests/grpcio.sh"

: "${peers_tmp:?}"
istiod=$peers_tmp/istiod
istiod_ip=172.31.250.254
istiod_python=$(grpcio_python) || skip "$istiod_python"
istiod_pid=

istiod_cert() # NAME SAN [CA]: a server's certificate
{
	local ca=${3:-$istiod}
	pki_key "$istiod/$1.key"
	openssl req -new -key "$istiod/$1.key" -subj / -out "$istiod/$1.csr" &&
		openssl x509 -req -in "$istiod/$1.csr" -CA "$ca/root-cert.pem" -CAkey "$ca/root-key.pem" \
			-CAcreateserial -days 2 -extfile <(echo "subjectAltName=$2") \
			-out "$istiod/$1.cert" 2>/dev/null || fail "openssl cannot make $1"
}

istiod_start() {
	if [[ ! -e $istiod/server.cert ]]; then
		pki_root "$istiod"
		istiod_cert server "DNS:istiod.istio-system.svc,IP:$istiod_ip"
		echo secret-token >"$istiod/token"
	fi
	# shellcheck disable=SC2086 # words
	"$WEFT" lab --name "$LAB" exec @fabric -- $istiod_python "$ROOT/selftests/istiod.py" serve \
		--port 15012 --proxy 15013 --ctl "$istiod/ctl" --cert "$istiod/${1:-server}.cert" \
		--key "$istiod/${1:-server}.key" --ca "$istiod" >"$istiod/said" 2>&1 &
	istiod_pid=$!
	background+=("$istiod_pid")
	# at once: it must not be asked before it has a mesh
	wait_for 10 istiod_says "{\"load\": \"$LAB_DIR/mesh.yaml\", \"token\": \"secret-token\"}"
	: >"$istiod/log"
}

istiod_stop() {
	pkill -P "$istiod_pid" 2>/dev/null
	kill "$istiod_pid" 2>/dev/null
	wait "$istiod_pid" 2>/dev/null
	rm -f "$istiod/ctl"
}

istiod_says() {
	# shellcheck disable=SC2086 # words
	$istiod_python "$ROOT/selftests/istiod.py" ctl "$istiod/ctl" "$1"
}

istiod_seen() {
	istiod_says '{"log": true}' | jq -c '.log[]' >>"$istiod/log" &&
		jq -s -e "any(.[]; $1)" "$istiod/log" >/dev/null
}

istiod_forget() {
	istiod_says '{"log": true}' >/dev/null
	: >"$istiod/log"
}

istiod_use() {
	local node=$1 file=$LAB_DIR/$1/weftd.yaml
	shift
	expect_ok lab stop "$node"
	cat >>"$file" <<-END
	xds_address: $istiod_ip:15012
	xds_root_ca: $istiod/root-cert.pem
	auth_token: $istiod/token
	pod_name: ztunnel-$node
	pod_namespace: istio-system
	instance_ip: 172.31.250.9
	END
	while (($# > 1)); do
		sed -i "/^$1:/d" "$file"
		echo "$1: $2" >>"$file"
		shift 2
	done
}

xds() {
	weft_json "$1" status | jq -e ".mesh.istiod | $2"
}
