# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034,SC2154
# Envoy as a sidecar with mutual TLS, the way Istio sets one up, with the least work per byte: TCP
# proxies only, no HTTP, no statistics sinks, no access log. nftables redirects what the pod's
# processes send to the server ports to 15001, and what arrives for them to 15006; Envoy's own
# group is exempt. Sourced by modes/sidecar.sh.
#
#   envoy_certs                  CA and two leaves into $WORK/envoy
#   envoy_start LAB POD NAME     redirect and Envoy in that pod; pid in $WORK/NAME.pid
#   envoy_wait LAB POD           until both of its listeners stand

ENVOY=$O/bench/envoy/bin/envoy
ENVOY_GID=1337

envoy_certs() {
	local dir=$WORK/envoy name
	mkdir -p "$dir"
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /O=bench \
		-keyout "$dir/ca.key" -out "$dir/ca.pem" 2>/dev/null || die "cannot make the CA of Envoy"
	for name in client server; do
		openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /O=bench \
			-keyout "$dir/$name.key" -out "$dir/$name.csr" 2>/dev/null || die "cannot make a request for Envoy's $name"
		openssl x509 -req -in "$dir/$name.csr" -CA "$dir/ca.pem" -CAkey "$dir/ca.key" -days 2 \
			-CAcreateserial -out "$dir/$name.pem" -extfile <(
				echo "subjectAltName=critical,URI:spiffe://cluster.local/ns/default/sa/$name"
				echo "extendedKeyUsage=serverAuth,clientAuth"
			) 2>/dev/null || die "cannot make a certificate for Envoy's $name"
	done
}

# envoy_tls OWN PEER INDENTATION: the common part of both TLS contexts
envoy_tls() {
	local dir=$WORK/envoy pad=$3
	sed "s/^/$pad/" <<-EOF
	common_tls_context:
	  tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
	  tls_certificates:
	  - certificate_chain: {filename: $dir/$1.pem}
	    private_key: {filename: $dir/$1.key}
	  validation_context:
	    trusted_ca: {filename: $dir/ca.pem}
	    match_typed_subject_alt_names:
	    - san_type: URI
	      matcher: {exact: spiffe://cluster.local/ns/default/sa/$2}
	EOF
}

envoy_listener() {
	cat <<-EOF
	  - name: $1
	    address: {socket_address: {address: 0.0.0.0, port_value: $2}}
	    enable_reuse_port: true
	    listener_filters:
	    - name: original_dst
	      typed_config:
	        "@type": type.googleapis.com/envoy.extensions.filters.listener.original_dst.v3.OriginalDst
	    filter_chains:
	    - filters:
	      - name: tcp
	        typed_config:
	          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
	          stat_prefix: $1
	          cluster: $1
	EOF
}

envoy_cluster() {
	cat <<-EOF
	  - name: $1
	    type: ORIGINAL_DST
	    lb_policy: CLUSTER_PROVIDED
	    connect_timeout: 5s
	    circuit_breakers:
	      thresholds: [{max_connections: 100000, max_pending_requests: 100000, max_requests: 100000}]
	EOF
}

envoy_config() {
	cat <<-EOF
	static_resources:
	  listeners:
	$(envoy_listener outbound 15001)
	$(envoy_listener inbound 15006)
	      transport_socket:
	        name: tls
	        typed_config:
	          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
	          require_client_certificate: true
	$(envoy_tls server client "          ")
	  clusters:
	$(envoy_cluster outbound)
	    transport_socket:
	      name: tls
	      typed_config:
	        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
	$(envoy_tls client server "        ")
	$(envoy_cluster inbound)
	EOF
}

envoy_redirect() {
	cat <<-EOF
	table ip bench {
		chain output {
			type nat hook output priority -100;
			meta skgid $ENVOY_GID return
			oifname "lo" return
			tcp dport { 9000, 8080, 8081 } redirect to :15001
		}
		chain prerouting {
			type nat hook prerouting priority -100;
			tcp dport { 9000, 8080, 8081 } redirect to :15006
		}
	}
	EOF
}

envoy_start() {
	envoy_config >"$WORK/envoy/$3.yaml"
	envoy_redirect | lab "$1" exec "$2" -- nft -f - || die "nft: no redirect in $2"
	pod_spawn "$1" "$2" "$3" setpriv --regid "$ENVOY_GID" --clear-groups "$ENVOY" \
		-c "$WORK/envoy/$3.yaml" --disable-hot-restart -l error --concurrency "$(nproc)"
}

envoy_wait() {
	wait_port "$1" "$2" 15001
	wait_port "$1" "$2" 15006
}
