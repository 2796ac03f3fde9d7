#!/bin/sh
# Builds the operator's image from the Containerfile into bin/image.tar, with a
# tag that follows from its content, which goes to bin/image.name. Nothing is
# built where that image is there already.
set -eu

tag=$(find Containerfile bin/image -type f | sort | xargs cat | sha256sum | cut -c1-12)
name=lull.dev/lull:$tag
if [ -f bin/image.tar ] && [ "$(cat bin/image.name 2>/dev/null)" = "$name" ]; then exit 0; fi

if ! command -v buildah >/dev/null; then
  apt-get install -y --no-install-recommends buildah >/dev/null 2>&1 ||
    { apt-get update >/dev/null && apt-get install -y --no-install-recommends buildah >/dev/null; } ||
    { echo "buildah is missing and apt-get could not install it: install buildah" >&2; exit 1; }
fi

store=$(mktemp -d)
trap 'rm -rf "$store"' EXIT
b() { buildah --storage-driver vfs --root "$store/root" --runroot "$store/run" "$@"; }
b build --quiet --isolation chroot --tag "$name" . >/dev/null
rm -f bin/image.tar
b push --quiet "$name" "oci-archive:bin/image.tar:$name"
echo "$name" >bin/image.name
echo "built $name"
