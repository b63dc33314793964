#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Runs tests on another kernel: run.sh KERNEL RESULTS. Boots it in qemu without any acceleration
# (so the answer is about correctness, never about speed), waits for its end, and adds what it
# reported to RESULTS, as "ok|FAIL|SKIP<tab>vm/KERNEL/...". A machine that dies, hangs or says
# nothing is a failure: it is written down first and taken back only by the machine's last line.
#
# Environment: O, VM_STAGES (unit,bpf,net), ONLY, VM_NET (scenarios, by number), VM_TIMEOUT (s).
# The machine halts and goes on at `stop` and `cont`, written to build/vm/KERNEL/monitor, a Unix
# socket: its clock stands still meanwhile, so somebody else may measure.
# VM_STAGES=cost runs weft-bench-ktls instead, on one processor whose clock counts instructions.

set -u -o pipefail
cd "$(dirname "$0")/../.." || exit 1

O=${O:-build}
kernel=$1
results=$2
out=$O/vm/$kernel
# shellcheck source=selftests/vm/scenarios
. selftests/vm/scenarios
VM_NET=${VM_NET:-$vm_scenarios}
VM_STAGES=${VM_STAGES:-unit,bpf,net}
VM_TIMEOUT=${VM_TIMEOUT:-3600}
machine=(-accel "tcg,thread=multi" -smp 2)
if [ "$VM_STAGES" = cost ]; then
	machine=(-accel tcg -icount "shift=0,sleep=off" -smp 1)
	out=$O/vm/cost-$kernel
fi
qemu_pid=

say()
{
	printf '%s\t%s\n' "$1" "vm/$kernel/$2" >>"$results"
	printf '%-4s %s%s\n' "$1" "vm/$kernel/$2" "${3:+ ($3)}"
}

stop()
{
	[ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null
	exit 130
}
trap stop INT TERM

give_up()
{
	say FAIL "$1" "$2"
	tail -n 40 "$out/console" 2>/dev/null
	exit 1
}

[ "$(uname -m)" = x86_64 ] || give_up boot "only for x86-64"
tools/setup.sh vm || give_up boot "packages are missing"
mkdir -p "$O/vm"
rm -f "$out"/{console,said,logs.tar.gz}
O=$O bash selftests/vm/image.sh "$kernel" "$out" >"$O/vm/$kernel.image.log" 2>&1 ||
	give_up image "$(tail -n 1 "$O/vm/$kernel.image.log")"

rm -rf "$out/test"
# cx16: qemu 7.2 leaves garbage in the flags behind cmpxchg16b, which Linux 6.12 trips over.
timeout -k 10 "$VM_TIMEOUT" qemu-system-x86_64 -machine q35 "${machine[@]}" \
	-cpu max,la57=off,cx16=off -m 4096 -display none -no-reboot -nodefaults -no-user-config \
	-kernel "$out/vmlinuz" -initrd "$out/initrd" \
	-append "console=ttyS0 quiet panic=-1 oops=panic softlockup_panic=0 net.ifnames=0 \
		vm_stages=$VM_STAGES vm_only=${ONLY:-} vm_net=${VM_NET// /,}" \
	-monitor "unix:$out/monitor,server=on,wait=off" \
	-serial "file:$out/console" -serial "file:$out/said" -serial "file:$out/logs.tar.gz" \
	</dev/null >"$out/qemu.log" 2>&1 &
qemu_pid=$!
wait "$qemu_pid"
status=$?
qemu_pid=

touch "$out/said"
tr -d '\r' <"$out/said" | grep -E $'^(ok|FAIL|SKIP)\t' | while IFS=$'\t' read -r what name; do
	say "$what" "$name"
done
tar -C "$out" -xzf "$out/logs.tar.gz" 2>/dev/null
[ "$status" -ne 124 ] || give_up boot "no end after $VM_TIMEOUT s"
tr -d '\r' <"$out/said" | grep -q '^end ' ||
	give_up boot "ended without its last word, qemu status $status: $(tail -n 1 "$out/qemu.log")"
say ok "boots and ends"
if [ "$VM_STAGES" = cost ]; then
	cat "$out/test/cost.json"
elif difference=$(O=$O bash selftests/vm/table.sh --check "$kernel" 2>&1); then
	say ok "docs/kernels.md says what was found"
else
	say FAIL "docs/kernels.md says something else; selftests/vm/table.sh --write" "$difference"
fi
