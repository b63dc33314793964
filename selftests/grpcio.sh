# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# Python with grpcio and a YAML reader, for the stand-in of istiod (istiod.py). They come from PyPI into
# the build folder, once; nothing else of the system changes.
#
#   grpcio_python    prints the command line of a Python that has it, or fails with the reason

grpcio_python()
{
	local python dir why=
	dir=$(cd "${BUILD:-${O:-build}}" && pwd)/python || return 1
	for python in /usr/bin/python3 python3; do
		command -v "$python" >/dev/null || continue
		if PYTHONPATH=$dir "$python" -c 'import grpc, yaml' 2>/dev/null; then
			echo "env PYTHONPATH=$dir GRPC_VERBOSITY=NONE $python"
			return 0
		fi
	done
	mkdir -p "$dir"
	for python in /usr/bin/python3 python3; do
		"$python" -m pip --version >/dev/null 2>&1 || continue
		why=$(flock "$dir" timeout 120 "$python" -m pip install --quiet --no-input \
			--disable-pip-version-check --root-user-action ignore --target "$dir" \
			'grpcio>=1.60,<2' pyyaml 2>&1) || continue
		PYTHONPATH=$dir "$python" -c 'import grpc, yaml' 2>/dev/null || continue
		echo "env PYTHONPATH=$dir GRPC_VERBOSITY=NONE $python"
		return 0
	done
	echo "grpcio cannot be had: ${why:-no Python with pip}" | tail -n 1
	return 1
}
