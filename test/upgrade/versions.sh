#!/bin/sh
# Writes into bin/upgrade the manifests of the version $1 of this repository and of the
# checkout, before.yaml and after.yaml, and the image of the former, before.tar. $2 is
# kubectl.
set -eu
from=$(git rev-parse --verify --quiet "$1^{commit}") || { echo "there is no version $1 here: write a tag or commit for FROM" >&2 && exit 1; }
kubectl=$2
rm -rf bin/upgrade
mkdir -p bin/upgrade
tree=$(pwd)/bin/upgrade/tree
trap 'git worktree remove --force "$tree"' EXIT
git worktree add --quiet --detach "$tree" "$from"
make -C "$tree" image
mv "$tree/bin/image.tar" bin/upgrade/before.tar

# manifests has those of the folder $1 name their image.
manifests() { "$kubectl" kustomize "$1/deploy" | sed "s#lull.dev/lull:dev#$(cat "$1/bin/image.name")#"; }
manifests "$tree" >bin/upgrade/before.yaml
manifests . >bin/upgrade/after.yaml
