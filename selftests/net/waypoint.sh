# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# A real waypoint for the scenarios: Envoy as istiod configures it (CONNECT ends here, and goes on
# by another CONNECT with the waypoint's own certificate). On top of lib.sh and peers.sh.
#
#   waypoint_start POD SA AUTHORITY=POD-IP:PORT...   in that pod (not enrolled); ends with the script
#   waypoint_pass=1                set before: the gateway of a network instead, which passes on what is in
#                                  the CONNECT as it is to IP:PORT
#   waypoint_saw TEXT...           one line of its log has all of these
#   waypoint_lines                 how many requests it has had; waypoint_had N: that many?
#   waypoint_issue FILE URI NODE   FILE.pem and FILE.key by the intermediate of that node
#
# What it writes for each request: authority=... peer=... source=... baggage=... forwarded=... network=...

ENVOY=$BUILD/bench/envoy/bin/envoy
# shellcheck disable=SC2154 # of peers.sh
waypoint_log=$peers_tmp/waypoint.log

[[ -x $ENVOY ]] || O=$BUILD sh -c 'exec bash "$1"/tools/bench/setup.sh envoy' - "$ROOT" >&2 ||
	skip "no Envoy ($ENVOY)"

waypoint_issue() {
	local to=$1 uri=$2 ca=$LAB_DIR/ca/$3 out
	cat >"$to.ext" <<-END
		basicConstraints = critical, CA:FALSE
		keyUsage = critical, digitalSignature
		extendedKeyUsage = serverAuth, clientAuth
		subjectAltName = critical, URI:$uri
	END
	out=$({
		openssl ecparam -name prime256v1 -genkey -noout -out "$to.key" &&
			openssl req -new -key "$to.key" -subj / -out "$to.csr" &&
			openssl x509 -req -in "$to.csr" -CA "$ca-cert.pem" -CAkey "$ca-key.pem" \
				-set_serial "0x$RANDOM$RANDOM" -days 1 -extfile "$to.ext" -out "$to.leaf"
	} 2>&1) || fail "openssl: $out"
	cat "$to.leaf" "$ca-cert.pem" >"$to.pem"
}

waypoint_tls() { # PAD
	sed "s/^/$1/" <<-END
	common_tls_context:
	  alpn_protocols: [h2]
	  tls_params: {tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}
	  tls_certificates:
	  - certificate_chain: {filename: $peers_tmp/waypoint.pem}
	    private_key: {filename: $peers_tmp/waypoint.key}
	  validation_context:
	    trusted_ca: {filename: $LAB_DIR/ca/root-cert.pem}
	    match_typed_subject_alt_names:
	    - {san_type: URI, matcher: {prefix: "spiffe://cluster.local/"}}
	END
}

waypoint_route() { # NUMBER AUTHORITY
	cat <<-END
	                - name: "$2"
	                  domains: ["$2"]
	                  routes:
	                  - match: {connect_matcher: {}}
	                    route:
	                      cluster: main$1
	                      upgrade_configs: [{upgrade_type: CONNECT, connect_config: {}}]
	END
}

# The tunnel that goes on from here.
waypoint_onward() { # NUMBER POD-IP:PORT
	[[ ! ${waypoint_pass:-} ]] || return 0
	cat <<-END
	  - name: onward$1
	    internal_listener: {}
	    filter_chains:
	    - filters:
	      - name: tcp
	        typed_config:
	          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
	          stat_prefix: onward$1
	          cluster: hbone$1
	          tunneling_config: {hostname: "$2"}
	END
}

waypoint_clusters() { # NUMBER POD-IP:PORT
	local to="envoy_internal_address: {server_listener_name: onward$1}"
	[[ ! ${waypoint_pass:-} ]] ||
		to="socket_address: {address: \"$(host_of "$2")\", port_value: ${2##*:}}"
	cat <<-END
	  - name: main$1
	    connect_timeout: 5s
	    load_assignment:
	      cluster_name: main$1
	      endpoints:
	      - lb_endpoints:
	        - endpoint: {address: {$to}}
	END
	[[ ! ${waypoint_pass:-} ]] || return 0
	cat <<-END
	  - name: hbone$1
	    connect_timeout: 5s
	    typed_extension_protocol_options:
	      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
	        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
	        explicit_http_config: {http2_protocol_options: {}}
	    load_assignment:
	      cluster_name: hbone$1
	      endpoints:
	      - lb_endpoints:
	        - endpoint: {address: {socket_address: {address: "$(host_of "$2")", port_value: 15008}}}
	    transport_socket:
	      name: tls
	      typed_config:
	        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
	$(waypoint_tls "        ")
	END
}

host_of() { # IP:PORT
	local host=${1%:*}
	host=${host#[}
	echo "${host%]}"
}

waypoint_config() { # AUTHORITY=POD-IP:PORT...
	local i=0 pair
	cat <<-END
	bootstrap_extensions:
	- name: internal
	  typed_config:
	    "@type": type.googleapis.com/envoy.extensions.bootstrap.internal_listener.v3.InternalListener
	static_resources:
	  listeners:
	$(for pair in "$@"; do waypoint_onward $((++i)) "${pair#*=}"; done)
	  - name: hbone
	    address: {socket_address: {address: "::", port_value: 15008, ipv4_compat: true}}
	    filter_chains:
	    - transport_socket:
	        name: tls
	        typed_config:
	          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
	          require_client_certificate: true
	$(waypoint_tls "          ")
	      filters:
	      - name: http
	        typed_config:
	          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
	          stat_prefix: hbone
	          codec_type: HTTP2
	          http2_protocol_options: {allow_connect: true}
	          upgrade_configs: [{upgrade_type: CONNECT}]
	          access_log_options: {flush_access_log_on_new_request: true}
	          access_log:
	          - name: file
	            typed_config:
	              "@type": type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog
	              path: $waypoint_log
	              log_format:
	                text_format_source:
	                  inline_string: "authority=%REQ(:AUTHORITY)% peer=%DOWNSTREAM_PEER_URI_SAN% source=%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT% baggage=%REQ(BAGGAGE)% forwarded=%REQ(FORWARDED)% network=%REQ(X-FORWARDED-NETWORK)% status=%RESPONSE_CODE% type=%ACCESS_LOG_TYPE% \n"
	          route_config:
	            virtual_hosts:
	$(i=0; for pair in "$@"; do waypoint_route $((++i)) "${pair%%=*}"; done)
	          http_filters:
	          - name: router
	            typed_config:
	              "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
	  clusters:
	$(i=0; for pair in "$@"; do waypoint_clusters $((++i)) "${pair#*=}"; done)
	END
}

waypoint_saw() {
	local text lines
	lines=$(<"$waypoint_log") || return
	for text in "$@"; do
		lines=$(grep -F -e "$text" <<<"$lines") || return
	done
}

waypoint_lines() {
	grep -c 'type=DownstreamStart' "$waypoint_log"
}

waypoint_had() {
	[[ $(waypoint_lines) == "$1" ]]
}

waypoint_start() {
	local where=$1 sa=$2 node
	shift 2
	node=$(lab status -o json | jq -r --arg pod "$where" '.pods[] | select(.name == $pod) | .node')
	waypoint_issue "$peers_tmp/waypoint" "spiffe://cluster.local/ns/default/sa/$sa" "$node"
	waypoint_config "$@" >"$peers_tmp/waypoint.yaml"
	: >"$waypoint_log"
	"$WEFT" lab --name "$LAB" exec "$where" -- "$ENVOY" -c "$peers_tmp/waypoint.yaml" \
		--disable-hot-restart --concurrency 1 --file-flush-interval-msec 20 -l warn >"$peers_tmp/envoy.out" 2>&1 &
	background+=($!)
	wait_for 15 waypoint_listens "$where" $!
}

waypoint_listens() {
	kill -0 "$2" 2>/dev/null || fail "Envoy has ended: $(tail -n 5 "$peers_tmp/envoy.out")"
	pod "$1" nc -z 127.0.0.1 15008
}
