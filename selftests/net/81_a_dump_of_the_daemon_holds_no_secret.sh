#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Of a weftd with an open tunnel, the key of its CA and the traffic secrets and keys of the tunnel
# are in memory, but neither in what gcore writes nor in a core dump of the kernel.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"
. "$(dirname "$0")/hostile.sh"

command -v gdb >/dev/null || skip "no gdb"
hostile_up

# A tunnel whose secrets are known.
cat >"$tmp/hold.py" <<'END'
import socket, ssl, sys
cert, key, log, host = sys.argv[1:]
c = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
c.check_hostname, c.verify_mode, c.keylog_filename = False, ssl.CERT_NONE, log
c.set_alpn_protocols(["h2"])
c.load_cert_chain(cert, key)
s = c.wrap_socket(socket.create_connection((host, 15008), timeout=20))
s.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(3) + b"\x04\0" + bytes(4))
s.recv(1)
open(log + ".ready", "w").close()
while s.recv(4096): pass
END
pod attacker /usr/bin/python3 "$tmp/hold.py" "$tmp/client.pem" "$tmp/client.key" "$tmp/keys" "$server" &
background+=($!)
wait_for 20 test -e "$tmp/keys.ready"

cat >"$tmp/search.py" <<'END'
"""search.py KEYLOG CA-KEY.DER mem PID | file PATH: names of the secrets that are there."""
import hashlib, hmac, re, sys
log, der, how, where = sys.argv[1:]
secrets = {}

def expand(secret, label, n):
    h = hashlib.sha384 if len(secret) == 48 else hashlib.sha256
    label = b"tls13 " + label
    info = n.to_bytes(2, "big") + bytes([len(label)]) + label + b"\0\1"
    return hmac.new(secret, info, h).digest()[:n]

for line in (l for l in open(log) if l[0] != "#"):
    name, _, secret = line.split()
    if "TRAFFIC_SECRET_0" in name:
        secret = bytes.fromhex(secret)
        secrets[name] = [secret]
        secrets[name + " key"] = [expand(secret, b"key", 32 if len(secret) == 48 else 16)]
text = open(der, "rb").read()
scalar = re.search(rb"\x02\x01\x01\x04\x20(.{32})", text, re.S).group(1)
secrets["CA key"] = [scalar, scalar[::-1]]
seen = set()

def look(data):
    for name, forms in secrets.items():
        if any(f in data for f in forms):
            seen.add(name)

if how == "file":
    look(open(where, "rb").read())
else:
    with open("/proc/%s/mem" % where, "rb", 0) as mem:
        for m in open("/proc/%s/maps" % where):
            a, b = (int(x, 16) for x in m.split()[0].split("-"))
            if "rw" not in m.split()[1]:
                continue
            try:
                mem.seek(a)
                look(mem.read(b - a))
            except OSError:
                pass
print(len(seen), *sorted(seen), sep="; ")
END
openssl pkey -in "$LAB_DIR/ca/node1/node1-key.pem" -outform DER -out "$tmp/ca.der" 2>"$tmp/err" ||
	openssl pkey -in "$LAB_DIR/ca/node1-key.pem" -outform DER -out "$tmp/ca.der" 2>"$tmp/err" ||
	fail "key of the CA: $(<"$tmp/err")"
search() {
	/usr/bin/python3 "$tmp/search.py" "$tmp/keys" "$tmp/ca.der" "$@"
}

pid=$(pid_of node1)
found=$(search mem "$pid")
((${found%%;*} == 5)) || fail "the search finds only: $found"

expect_ok gcore -o "$tmp/core" "$pid"
[[ -s $tmp/core.$pid ]] || fail "gcore wrote nothing"
expect_eq "$(search file "$tmp/core.$pid")" 0 "secrets in what gcore wrote"

# The kernel writes none at all.
expect_eq "$(awk '/^Max core file size/ { print $5, $6 }' "/proc/$pid/limits")" "0 0" "limit of cores"
expect_eq "$(cat "/proc/$pid/coredump_filter")" 00000000 "what a core would have"
harmless 40 "dumps"
