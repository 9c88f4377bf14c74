#!/usr/bin/env bash
# Builds the image on computers without a Docker engine, and checks it. Needs root, buildah, and
# debootstrap for --debootstrap.
#
#   docker/build-with-buildah.sh [options]
#     --target NAME        stage to build: cpu (default), cuda, or any other stage
#     --debootstrap        make the base image from Debian's packages instead of a registry's image:
#                          Debian testing, with its Python and its builds of torch, which have no CUDA
#     --mount HOST:INSIDE  mount a folder or file of this computer, read-only, in the build's steps:
#                          CA certificates, pip configuration, wheel folders (may be repeated)
#     --check              print what each layer costs, run the image and check what it promises
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
    suite=forky
    base=localhost/kinolex-base:$suite
    if ! buildah inspect --type image "$base" >/dev/null 2>&1; then
        rootfs=$scratch/rootfs
        # Older debootstraps do not know the name; all suites since sid are made alike.
        script=$suite
        [[ -e /usr/share/debootstrap/scripts/$suite ]] || script=sid
        packages=python3,python3-venv,ca-certificates,python3-torch,python3-torchvision
        # Without it, torch would use the reference implementation of BLAS.
        packages+=,libopenblas0-pthread
        debootstrap --variant=minbase --include="$packages" "$suite" "$rootfs" "" "$script" \
            >"$scratch/debootstrap.log" || { tail -20 "$scratch/debootstrap.log" >&2; exit 1; }
        rm -rf "$rootfs"/var/cache/apt "$rootfs"/var/lib/apt/lists/* \
            "$rootfs"/usr/share/{doc,locale,man}/*
        container=$(buildah from scratch)
        buildah add --quiet "$container" "$rootfs" / >/dev/null
        buildah commit --quiet --rm "$container" "$base" >/dev/null
    fi
    build_args+=(--build-arg "BASE_IMAGE=$base" --build-arg TORCH_OF_BASE=true)
fi

# chroot isolation and the host's network also work inside another container or a small VM.
# Docker's format, because the OCI format has no HEALTHCHECK.
buildah bud --format docker --isolation chroot --network host --layers \
    "${mounts[@]}" "${build_args[@]}" --target "$target" --tag "kinolex:$target" \
    "$scratch/context"
echo "built kinolex:$target"

$check || exit 0

# torch of an ordinary index brings CUDA libraries, which the limit does not hold for.
limit=()
if [[ $target == cpu && " ${build_args[*]}" == *[=\ ]TORCH_* ]]; then limit=(--limit 1500); fi
buildah push --quiet "kinolex:$target" "oci:$scratch/oci:image" >/dev/null
python3 docker/image_sizes.py "$scratch/oci" "${limit[@]}"
docker/check-with-buildah.sh "kinolex:$target"
