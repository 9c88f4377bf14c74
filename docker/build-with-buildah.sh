#!/usr/bin/env bash
# Builds the image, and runs it, on computers without a Docker engine. Needs root, buildah, and
# debootstrap for --debootstrap.
#
#   docker/build-with-buildah.sh [options]
#     --target NAME        stage to build: cpu (default), cuda, or any other stage
#     --debootstrap        make the base image from Debian's packages instead of a registry's image
#     --mount HOST:INSIDE  mount a folder or file of this computer, read-only, in the build's steps:
#                          CA certificates, pip configuration, wheel folders (may be repeated)
#     --check              run the built image and wait until its health check passes
#   BUILD_ARGS             further --build-arg values, separated by spaces
set -euo pipefail
cd "$(dirname "$0")/.."

target=cpu
check=false
debootstrap=false
mounts=()
while (($#)); do
    case $1 in
    --target) target=$2; shift 2 ;;
    --mount) mounts+=(--volume "$2:ro"); shift 2 ;;
    --debootstrap) debootstrap=true; shift ;;
    --check) check=true; shift ;;
    *) sed -n '2,/^set/{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
    esac
done

build_args=()
for word in ${BUILD_ARGS:-}; do build_args+=(--build-arg "$word"); done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
mkdir "$scratch/context"
docker/copy-context.sh "$scratch/context"

if $debootstrap; then
    base=localhost/kinolex-base:bookworm
    if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
        rootfs=$scratch/rootfs
        debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates \
            bookworm "$rootfs"
        rm -rf "$rootfs"/var/cache/apt "$rootfs"/var/lib/apt/lists/*
        container=$(buildah from scratch)
        buildah add --quiet "$container" "$rootfs" / >/dev/null
        buildah commit --quiet --rm "$container" "$base" >/dev/null
    fi
    build_args+=(--build-arg "BASE_IMAGE=$base")
fi

# chroot isolation and the host's network also work inside another container or a small VM.
# Docker's format, because the OCI format has no HEALTHCHECK.
buildah bud --format docker --isolation chroot --network host --layers \
    "${mounts[@]}" "${build_args[@]}" --target "$target" --tag "kinolex:$target" \
    "$scratch/context"
echo "built kinolex:$target"
buildah images --format '{{.Name}}:{{.Tag}}  {{.Size}}' "kinolex:$target"

$check || exit 0

# As compose runs it: an unprivileged user, the entrypoint, a new and empty data volume.
port=${KINOLEX_PORT:-8000}
container=$(buildah from "kinolex:$target")
data=$scratch/data
install --directory --owner 10001 --group 10001 "$data"
chmod 711 "$scratch"
inside() {
    buildah run --isolation chroot --network host --volume "$data:/data" \
        --env "KINOLEX_PORT=$port" "$container" -- "$@"
}
inside entrypoint serve &
service=$!
stop() {
    kill "$service" 2>/dev/null || true
    wait "$service" 2>/dev/null || true
    buildah rm "$container" >/dev/null
    rm -rf "$scratch"
}
trap stop EXIT

for second in $(seq 120); do
    if inside python3 /usr/local/bin/healthcheck.py 2>/dev/null; then
        echo "kinolex:$target is ready after $second s, as user $(inside id -un)"
        exit 0
    fi
    kill -0 "$service" 2>/dev/null || { echo "the service stopped" >&2; exit 1; }
    sleep 1
done
echo "kinolex:$target was not ready within two minutes" >&2
exit 1
