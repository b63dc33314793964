#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# What the compiler and the linker were told for defence is in the programs that get installed:
# position independent, RELRO and all symbols bound at start, no executable stack, no writable
# code, canaries, checked copies, and on x86-64 marked targets of indirect jumps.

cd "$(dirname "$0")/../.." || exit 1

O=${O:-build}
bad=0
seen=0

complain()
{
	echo "$1: $2"
	bad=1
}

check()
{
	local f=$1 head segments dynamic symbols
	head=$(readelf -hW "$f")
	segments=$(readelf -lW "$f")
	dynamic=$(readelf -dW "$f")
	symbols=$(readelf --dyn-syms -W "$f")
	grep -q 'Type: *DYN' <<<"$head" && grep -q 'FLAGS_1.*PIE' <<<"$dynamic" ||
		complain "$f" "not position independent"
	grep -q GNU_RELRO <<<"$segments" || complain "$f" "no RELRO"
	grep -Eq 'BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic" || complain "$f" "symbols are bound lazily"
	grep -q 'GNU_STACK.* RW ' <<<"$segments" || complain "$f" "the stack is executable"
	! grep -Eq 'LOAD.* (RWE|WE) ' <<<"$segments" || complain "$f" "writable code"
	! grep -q TEXTREL <<<"$dynamic" || complain "$f" "relocations in code"
	! grep -Eq 'RPATH|RUNPATH' <<<"$dynamic" || complain "$f" "looks for libraries by RPATH"
	grep -q __stack_chk_fail <<<"$symbols" || complain "$f" "no canaries"
	grep -Eq '__[a-z]+_chk(@| |$)' <<<"$symbols" || complain "$f" "no checked copies (FORTIFY)"
	if grep -q 'X86-64' <<<"$head"; then
		# Debian 12's start files are not marked, so the program as a whole is not.
		(($(objdump -d --no-show-raw-insn "$f" | grep -c endbr64) > 500)) ||
			complain "$f" "no endbr64"
	fi
}

for f in "$O/weftd" "$O/weft"; do
	[ -e "$f" ] || continue
	seen=$((seen + 1))
	check "$f"
done
if [ "$seen" -eq 0 ]; then
	echo "nothing is built"
	exit 4
fi
# Whether stacks are probed cannot be seen from outside: the flag was there.
grep -q -- -fstack-clash-protection "$O/.opts" || complain "$O/.opts" "no -fstack-clash-protection"
exit $bad
