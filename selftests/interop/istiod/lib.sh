# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A real control plane beside a lab, on top of ../../net/peers.sh: etcd, kube-apiserver and istiod as
# build.sh has made them, in the lab's fabric. There is no kubelet: pods are objects that say of a pod of the lab that
# it runs.
#
#   kube_up                      all of it, with a namespace istio-system and the lab's nodes
#   kube METHOD PATH [TYPE]      one request to kube-apiserver; its body is stdin (not of GET and DELETE)
#   kube_put PATH                stdin is made, or replaced if its metadata.name is there
#   kube_pod NS NAME NODE IP [SA] [LABELS]   a running pod with this address (LABELS: JSON)
#   kube_namespace NAME          a namespace and its account "default"
#   istiod_start [NAME=VALUE]... istiod, more of its environment
#   istiod_stop [SIGNAL]
#   kube_join NODE               that node's weftd takes mesh and certificates from istiod from now on
#   cni_start NODE [NAME=VALUE]...   istio-cni's node agent there; its sockets are in $kube_dir/NODE
#   cni_add NODE NS POD IP       tells the agent of a new pod, as its CNI plugin does
#   soon WHAT CMD...             wait until CMD succeeds, and say how long that took

: "${peers_tmp:?}"
istiod_bin=${WEFT_INTEROP:-${XDG_CACHE_HOME:-$HOME/.cache}/weft-interop}/istiod/bin
istiod_ip=172.31.250.254
kube_dir=$peers_tmp/kube
istiod_pid=

[[ -x $istiod_bin/pilot-discovery ]] || skip "istiod is not built (selftests/interop/istiod/build.sh)"
command -v etcd >/dev/null || skip "no etcd (Debian package etcd-server)"

istiod_end() {
	local code=$? log
	for log in "$kube_dir"/{etcd,apiserver,istiod} "$kube_dir"/cni-*; do
		((code == 1)) && [[ -s $log && -f $log ]] || continue
		echo "--- last lines of ${log##*/}" >&2
		tail -n 8 "$log" >&2
	done
	(exit "$code")
	peers_end
}
trap istiod_end EXIT

fabric() { # LOG CMD...: in the fabric until the scenario ends; $! is its pid
	local log=$1
	shift
	"$WEFT" lab --name "$LAB" exec @fabric -- "$@" >"$kube_dir/$log" 2>&1 </dev/null &
	background+=($!)
	disown
}

kube() {
	local body=() type=${3:-application/json}
	[[ $1 == GET || $1 == DELETE ]] || body=(-H "Content-Type: $type" --data-binary @-)
	pod @fabric curl -sS -m 20 --fail-with-body --cacert "$kube_dir/tls.crt" -H "Authorization: Bearer lab" -X "$1" \
		"${body[@]}" "https://127.0.0.1:6443$2"
}

kube_put() {
	local object name out
	object=$(cat)
	name=$(jq -r .metadata.name <<<"$object")
	out=$(kube POST "$1" <<<"$object" 2>&1) && return
	[[ $out == *AlreadyExists* ]] || fail "kube-apiserver: POST $1: $out"
	out=$(kube PATCH "$1/$name" application/merge-patch+json <<<"$object" 2>&1) || fail "kube-apiserver: PATCH $1/$name: $out"
}

kube_tls() {
	mkdir -p "$kube_dir/work"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=kube-apiserver \
		-addext "subjectAltName=IP:127.0.0.1,IP:$istiod_ip" -keyout "$kube_dir/tls.key" -out "$kube_dir/tls.crt" 2>/dev/null &&
		openssl ecparam -name prime256v1 -genkey -noout -out "$kube_dir/sa.key" &&
		openssl ec -in "$kube_dir/sa.key" -pubout -out "$kube_dir/sa.pub" 2>/dev/null || fail "openssl"
	echo "lab,admin,admin,system:masters" >"$kube_dir/tokens"
	cat >"$kube_dir/config" <<-END
		apiVersion: v1
		kind: Config
		current-context: lab
		contexts: [{name: lab, context: {cluster: lab, user: lab}}]
		clusters: [{name: lab, cluster: {server: "https://$istiod_ip:6443", certificate-authority: $kube_dir/tls.crt}}]
		users: [{name: lab, user: {token: lab}}]
	END
}

kube_ready() {
	[[ $(kube GET /readyz 2>/dev/null) == ok ]]
}

# Each document of a YAML file of custom resource definitions
kube_definitions() {
	local file out
	mkdir -p "$kube_dir/crds"
	rm -f "$kube_dir"/crds/*
	awk -v dir="$kube_dir/crds" '/^---/ { n++; next } { print > sprintf("%s/%03d.yaml", dir, n) }' "$1"
	for file in "$kube_dir"/crds/*.yaml; do
		grep -q "^kind: CustomResourceDefinition" "$file" || continue
		out=$(kube POST /apis/apiextensions.k8s.io/v1/customresourcedefinitions application/yaml <"$file" 2>&1) ||
			fail "${file##*/} of $1: $out"
	done
}

kube_namespace() {
	kube_put /api/v1/namespaces <<<"{\"metadata\": {\"name\": \"$1\", \"labels\": ${2:-null}}}"
	kube_account "$1" default
}

kube_account() {
	kube_put "/api/v1/namespaces/$1/serviceaccounts" <<<"{\"metadata\": {\"name\": \"$2\"}}"
}

kube_up() {
	local node
	kube_tls
	fabric etcd etcd --data-dir "$kube_dir/work/etcd" --unsafe-no-fsync --listen-client-urls http://127.0.0.1:2379 \
		--advertise-client-urls http://127.0.0.1:2379 --listen-peer-urls http://127.0.0.1:2380
	fabric apiserver "$istiod_bin/kube-apiserver" --etcd-servers http://127.0.0.1:2379 --bind-address 0.0.0.0 --advertise-address "$istiod_ip" \
		--secure-port 6443 --tls-cert-file "$kube_dir/tls.crt" --tls-private-key-file "$kube_dir/tls.key" \
		--service-account-issuer https://kubernetes.default.svc --service-account-key-file "$kube_dir/sa.pub" \
		--service-account-signing-key-file "$kube_dir/sa.key" --service-cluster-ip-range 10.96.0.0/16 \
		--api-audiences https://kubernetes.default.svc,istio-ca --token-auth-file "$kube_dir/tokens" \
		--authorization-mode AlwaysAllow --disable-admission-plugins ServiceAccount --cert-dir "$kube_dir/work"
	wait_for 60 kube_ready
	kube_definitions "$istiod_bin/crds.yaml"
	kube_definitions "$istiod_bin/gateway-crds.yaml"
	kube_namespace istio-system
	kube_account istio-system ztunnel
	for node in "$LAB_DIR"/*/weftd.yaml; do
		node=$(basename "$(dirname "$node")")
		kube_put /api/v1/nodes <<<"{\"metadata\": {\"name\": \"$node\"}}"
		kube_pod istio-system "ztunnel-$node" "$node" "172.31.250.9" ztunnel '{"app": "ztunnel"}'
	done
}

kube_pod() {
	local path="/api/v1/namespaces/$1/pods"
	kube_put "$path" <<-END
		{"metadata": {"name": "$2", "labels": ${6:-{\}}, "annotations": ${annotations:-{\}}},
		 "spec": {"nodeName": "$3", "serviceAccountName": "${5:-default}", "hostNetwork": ${host_network:-false},
		          "containers": [{"name": "main", "image": "none"}]}}
	END
	kube PATCH "$path/$2/status" application/merge-patch+json >/dev/null <<-END || fail "status of pod $2"
		{"status": {"phase": "Running", "podIP": "$4", "podIPs": [{"ip": "$4"}],
		            "conditions": [{"type": "Ready", "status": "True"}]}}
	END
}

istiod_ready() {
	pod @fabric curl -sf -m 5 http://127.0.0.1:8080/ready >/dev/null
}

istiod_start() {
	(cd "$kube_dir/work" && exec "$WEFT" lab --name "$LAB" exec @fabric -- env PILOT_ENABLE_AMBIENT=true REVISION=default \
		CA_TRUSTED_NODE_ACCOUNTS=istio-system/ztunnel ENABLE_LEADER_ELECTION=false CLUSTER_ID=Kubernetes \
		POD_NAME=istiod POD_NAMESPACE=istio-system "$@" "$istiod_bin/pilot-discovery" discovery \
		--kubeconfig "$kube_dir/config" --httpAddr 127.0.0.1:8080 --httpsAddr "" --grpcAddr "" \
		--secureGRPCAddr "$istiod_ip:15012" --monitoringAddr 127.0.0.1:15014) >>"$kube_dir/istiod" 2>&1 </dev/null &
	istiod_pid=$!
	background+=("$istiod_pid")
	disown
	wait_for 60 istiod_ready
}

istiod_gone() {
	! pod @fabric curl -s -m 5 http://127.0.0.1:8080/ready >/dev/null
}

istiod_stop() { # [SIGNAL]
	pkill "${1:--TERM}" -P "$istiod_pid" 2>/dev/null
	kill "${1:--TERM}" "$istiod_pid" 2>/dev/null
	wait_for 20 istiod_gone
}

has_root() {
	kube GET /api/v1/namespaces/istio-system/configmaps/istio-ca-root-cert 2>/dev/null |
		jq -er '.data["root-cert.pem"]' >"$kube_dir/root-cert.pem"
}

# A token as the kubelet would mount it into the pod ztunnel-NODE
kube_token() {
	local uid
	uid=$(kube GET "/api/v1/namespaces/istio-system/pods/ztunnel-$1" | jq -r .metadata.uid)
	kube POST /api/v1/namespaces/istio-system/serviceaccounts/ztunnel/token <<-END | jq -er .status.token >"$kube_dir/token-$1.new"
		{"spec": {"audiences": ["istio-ca"], "expirationSeconds": 3600,
		          "boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "ztunnel-$1", "uid": "$uid"}}}
	END
	mv "$kube_dir/token-$1.new" "$kube_dir/token-$1"
}

kube_join() {
	wait_for 30 has_root || fail "istiod has published no root"
	kube_token "$1" || fail "no token for ztunnel-$1"
	expect_ok lab stop "$1"
	cat >>"$LAB_DIR/$1/weftd.yaml" <<-END
		xds_address: $istiod_ip:15012
		xds_alt_hostname: istiod.istio-system.svc
		ca_alt_hostname: istiod.istio-system.svc
		xds_root_ca: $kube_dir/root-cert.pem
		auth_token: $kube_dir/token-$1
		pod_name: ztunnel-$1
		pod_namespace: istio-system
		instance_ip: 172.31.250.9
	END
	sed -i '/^certificates:/d' "$LAB_DIR/$1/weftd.yaml"
	expect_ok lab start "$1"
}

# The agent wants to install its plugin into folders of a host: it gets a root of its own, over the real one.
cni_root() {
	local dir=$1 name
	mkdir -p "$dir/root" "$dir/net.d" &&
		mount -t tmpfs tmpfs "$dir/root" &&
		mkdir "$dir/root/upper" "$dir/root/work" "$dir/root/merged" &&
		mount -t overlay overlay -o "lowerdir=/,upperdir=$dir/root/upper,workdir=$dir/root/work" "$dir/root/merged" || return
	for name in sys dev tmp; do
		mount --rbind "/$name" "$dir/root/merged/$name" || return
	done
	cd "$dir/root/merged" || return
	mkdir -p host/var/run/netns opt/cni/bin host/opt/cni/bin host/proc run/secrets/kubernetes.io/serviceaccount &&
		mount --rbind /run/netns host/var/run/netns && mount -t proc proc proc && mount --bind proc host/proc || return
	echo lab >run/secrets/kubernetes.io/serviceaccount/token
	echo istio-system >run/secrets/kubernetes.io/serviceaccount/namespace
}

cni_ready() {
	[[ -S $kube_dir/$1/ztunnel.sock ]]
}

cni_start() {
	local node=$1 dir=$kube_dir/$1
	shift
	mkdir -p "$dir/net.d" "$dir/run"
	echo '{"cniVersion": "0.4.0", "name": "lab", "plugins": [{"type": "lab"}]}' >"$dir/net.d/10-lab.conflist"
	cp "$kube_dir/tls.crt" "$dir/ca.crt"
	export -f cni_root
	"$WEFT" lab --name "$LAB" exec "@$node" -- unshare -m -p --fork --kill-child bash -c 'cni_root "$1" && shift && exec chroot . "$@"' - "$dir" \
		/usr/bin/env KUBECONFIG="$kube_dir/config" NODE_NAME="$node" KUBERNETES_NODE_NAME="$node" POD_NAMESPACE=istio-system \
		POD_NAME="istio-cni-$node" KUBERNETES_SERVICE_HOST="$istiod_ip" KUBERNETES_SERVICE_PORT=6443 SKIP_TLS_VERIFY=true \
		AMBIENT_ENABLED=true AMBIENT_IPV6=true REPAIR_ENABLED=false CNI_AGENT_RUN_DIR="$dir/run" MOUNTED_CNI_NET_DIR="$dir/net.d" \
		ZTUNNEL_UDS_ADDRESS="$dir/ztunnel.sock" CNI_NETWORK_CONFIG='{"type": "istio-cni"}' \
		AMBIENT_ENABLEMENT_SELECTOR='[{"podSelector": {"matchLabels": {"istio.io/dataplane-mode": "ambient"}}}]' \
		"$@" "$istiod_bin/install-cni" --log_output_level=default:info >"$kube_dir/cni-$node" 2>&1 </dev/null &
	background+=($!)
	disown
	wait_for 60 cni_ready "$node"
}

cni_add() {
	local netns="/var/run/netns/$LAB-$2-$3"
	curl -sS -m 20 --fail-with-body --unix-socket "$kube_dir/$1/run/pluginevent.sock" http://agent/cmdadd --data-binary @- <<-END
		{"Netns": "$netns", "PodName": "$3", "PodNamespace": "$2", "IPs": [{"Address": {"IP": "$4", "Mask": "/////w=="}}]}
	END
}

soon() {
	local what=$1 begin
	shift
	begin=$(now_ms)
	wait_for 20 "$@" || fail "not seen: $what"
	echo "$what: seen after $(($(now_ms) - begin)) ms"
}
