#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds istiod, istioctl, istio-cni and kube-apiserver from the Go module registry, by package name, into
# $WEFT_INTEROP/istiod/bin: once, outside of the tree, with a word at each step. About ten minutes on two CPUs,
# 3 GB of downloads and caches. Ends with 4 where it cannot be done.
set -u -o pipefail

ISTIO=v0.0.0-20260827124520-eed52ebb66ad
KUBERNETES=1.36.1
GO=go1.26.0

WEFT_INTEROP=${WEFT_INTEROP:-${XDG_CACHE_HOME:-$HOME/.cache}/weft-interop}
out=$WEFT_INTEROP/istiod/bin
work=$WEFT_INTEROP/istiod/work
wanted="istio $ISTIO, kubernetes $KUBERNETES"

skip() {
	echo "SKIP: $*" >&2
	exit 4
}

step() {
	echo "$(date +%T) $*"
	"$@" >"$work/log" 2>&1 || skip "$*: $(tail -n 1 "$work/log"); all of it is in $work/log"
}

[[ -x $out/install-cni && -r $out/version && $(<"$out/version") == "$wanted" ]] && exit 0
command -v go >/dev/null || skip "no go to build istiod with"
mkdir -p "$work/bin" || skip "cannot make $work"
cd "$work" || exit 1
export GOTOOLCHAIN=$GO+auto GOFLAGS=-mod=mod CGO_ENABLED=0

printf 'module istiod.invalid/build\n\ngo 1.26.0\n' >go.mod
rm -f go.sum
step go mod download -json "k8s.io/kubernetes@v$KUBERNETES"
mod=$(jq -r .GoMod log) || skip "no go.mod of kubernetes"
# What kubernetes has in its own tree are modules of their own for everybody else.
{
	sed -n 's|^[[:space:]]*\(k8s.io/[a-z0-9-]*\) => ./staging/src/.*|replace \1 => \1 '"v0.${KUBERNETES#1.}"'|p' "$mod"
	echo "require k8s.io/kubernetes v$KUBERNETES"
	echo "require istio.io/istio $ISTIO"
} >>go.mod
for package in k8s.io/kubernetes/cmd/kube-apiserver istio.io/istio/pilot/cmd/pilot-discovery \
	istio.io/istio/istioctl/cmd/istioctl istio.io/istio/cni/cmd/install-cni; do
	step nice go build -p 2 -ldflags "-s -w" -o bin/ "$package"
done
istio=$(go list -m -f '{{.Dir}}' istio.io/istio) gateway=$(go list -m -f '{{.Dir}}' sigs.k8s.io/gateway-api)
step install -m 644 "$istio/manifests/charts/base/files/crd-all.gen.yaml" bin/crds.yaml
# shellcheck disable=SC2016 # expanded by the inner shell
step bash -c 'for f in "$0"/config/crd/standard/*.yaml; do echo ---; cat "$f"; done >bin/gateway-crds.yaml' "$gateway"
echo "$wanted" >bin/version
rm -rf "$out"
mv bin "$out"
