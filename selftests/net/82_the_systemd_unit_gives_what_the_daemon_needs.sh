#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# With the capabilities and limits that packaging/weftd.service leaves it, weftd starts, takes
# pods in and serves every path; and the unit is as closed as docs/operations.md says.
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/peers.sh"

UNIT=$ROOT/packaging/weftd.service
command -v setpriv >/dev/null || skip "no setpriv"

setting() {
	sed -n "s/^$1=//p" "$UNIT"
}
bounding=-all
for cap in $(setting CapabilityBoundingSet); do
	cap=${cap#CAP_}
	bounding+=,+${cap,,}
done
cat >"$peers_tmp/weftd" <<EOF
#!/bin/bash
ulimit -c $(setting LimitCORE) || exit 1
umask $(setting UMask)
exec setpriv --bounding-set $bounding --inh-caps -all --ambient-caps -all --no-new-privs $WEFTD "\$@"
EOF
chmod +x "$peers_tmp/weftd"
LAB_OPTIONS=(--weftd "$peers_tmp/weftd")

lab_up - < <(crew)
ip=$(ip_of server)
wait_for 5 peer client who server 80
wait_for 5 peer near who server 80
wait_for 5 peer outsider who "$ip" 9000
for path in direct hbone plain; do
	(($(metric node1 "weft_connections_total{path=\"$path\"}") > 0)) || fail "nothing was $path"
done

command -v systemd-analyze >/dev/null || exit 0
systemd-analyze security --help 2>&1 | grep -q -- --offline || exit 0
said=$(sed -n 's/.*exposure level of the unit is \([0-9]\)\.\([0-9]\).*/\1\2/p' "$ROOT/docs/operations.md")
[[ $said ]] || fail "docs/operations.md does not give the exposure level"
out=$(systemd-analyze security --offline=true --threshold="$said" "$UNIT" 2>&1) ||
	fail "more open than said: $(tail -n 1 <<<"$out")"
