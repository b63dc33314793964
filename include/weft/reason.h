/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
#pragma once
/*
 * How a connection ended: exactly one of these, counted once and logged once, whichever of
 * the kernel, the relay or a peer ended it. X(NAME, number, token, flag, sentence)
 * token: first word of error="..." in the access log. flag: response_flags label.
 * Numbers are never reused.
 */
#define WEFT_REASONS(X) \
	X(NONE, 0, "none", "-", "still open") \
	X(OK, 1, "ok", "-", "closed by the two applications") \
	X(POLICY_DENIED, 2, "policy_denied", "DENY", "an authorization policy refused it") \
	X(NO_ENDPOINT, 3, "no_endpoint", "CONNECT", "the service has no endpoint to choose") \
	X(CONNECT_FAILED, 4, "connect_failed", "CONNECT", "the application could not be reached") \
	X(TLS_FAILED, 5, "tls_failed", "TLS_FAILURE", "the TLS handshake failed") \
	X(H2_FAILED, 6, "h2_failed", "H2_HANDSHAKE_FAILURE", "the peer broke HTTP/2 rules") \
	X(PEER_REFUSED, 7, "peer_refused", "CONNECT", "the peer answered CONNECT with an error") \
	X(NO_IDENTITY, 8, "no_identity", "IDENTITY_ERROR", "there is no certificate for it yet") \
	X(UNKNOWN_SOURCE, 9, "unknown_source", "DENY", "the connection was not captured by us") \
	X(BAD_DESTINATION, 10, "bad_destination", "CONNECT", "the destination is not for this pod") \
	X(RESET, 11, "reset", "-", "one side reset the connection") \
	X(TUNNEL_LOST, 12, "tunnel_lost", "CONNECT", "the tunnel's TCP connection broke") \
	X(TIMEOUT, 13, "timeout", "CONNECT", "nothing answered in time") \
	X(LIMIT, 14, "limit", "CONNECT", "a table or queue was full") \
	X(UNENROLLED, 15, "unenrolled", "-", "the pod left the mesh") \
	X(SHUTDOWN, 16, "shutdown", "-", "weftd stopped") \
	X(RESERVED_PORT, 17, "reserved_port", "DENY", "the pod dialled one of weftd's own ports") \
	X(POLICY_CHANGED, 18, "policy_changed", "DENY", "a policy change cut a live connection") \
	X(PEER_CLOSED, 19, "peer_closed", "CONNECT", "the peer went away while connecting") \
	X(CERT_REVOKED, 20, "cert_revoked", "CERT_REVOKED", \
	  "a certificate is revoked, or its root is gone") \
	X(NO_WAYPOINT, 21, "no_waypoint", "CONNECT", "the waypoint that it must pass cannot be used")

enum weft_reason {
#define X(name, number, token, flag, sentence) WEFT_REASON_##name = number,
	WEFT_REASONS(X)
#undef X
		WEFT_REASON_MAX = 22
};
