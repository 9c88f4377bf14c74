#!/usr/bin/env bash
# Runs an image as Compose runs it, and checks what it promises: `check-with-buildah.sh IMAGE`. Needs
# root, buildah and curl.
#
# The root is read-only, the user has no capabilities and gains none, /tmp is in memory, and the data
# volume is new. The service gets ready by its own health check, tags a video, ends with 0 within the
# grace time after SIGTERM, and says what to set for a checkpoint of the Hub.
set -euo pipefail
cd "$(dirname "$0")/.."
image=$1

scratch=$(mktemp -d)
chmod 711 "$scratch"
data=$scratch/data
install --directory --owner 10001 --group 10001 "$data"
container=$(buildah from "$image")
root=$(buildah mount "$container")
service=
clean() {
    [[ -z $service ]] || kill -KILL "$service" 2>/dev/null || true
    buildah rm "$container" >/dev/null
    rm -rf "$scratch"
}
trap clean EXIT

fail() { echo "$image: $*" >&2; cat "$scratch/log" >&2; exit 1; }

port=${KINOLEX_PORT:-$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
mapfile -t environment < <(buildah inspect --type image \
    --format '{{range .OCIv1.Config.Env}}{{println .}}{{end}}' "$image" | sed '/^$/d')
environment+=("KINOLEX_PORT=$port" KINOLEX_OPEN_WITHOUT_KEYS=true)

# Replaces this shell, so that signals reach the first process of the container. A mount namespace
# of its own ends with it.
run() {
    exec unshare --mount bash -c '
        set -e
        root=$1 data=$2; shift 2
        mount --bind "$root" "$root"
        mount --types proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --types tmpfs tmpfs "$root/tmp"
        mount --bind "$data" "$root/data"
        mount --options remount,bind,ro "$root"
        exec chroot "$root" setpriv --reuid=10001 --regid=10001 --clear-groups \
            --bounding-set=-all --inh-caps=-all --no-new-privs env --ignore-environment "$@"
    ' run "$root" "$data" "${environment[@]}" "$@"
}

healthy() {
    chroot "$root" env "${environment[@]}" python3 /usr/local/bin/healthcheck.py 2>/dev/null
}

(run entrypoint serve) >"$scratch/log" 2>&1 &
service=$!
started=$SECONDS
until healthy; do
    kill -0 "$service" 2>/dev/null || fail "the service stopped"
    ((SECONDS - started < 300)) || fail "not ready within five minutes"
    sleep 1
done
user=$(stat --format %u "/proc/$service")
capabilities=$(sed -n 's/^CapBnd:\s*//p' "/proc/$service/status")
echo "$image is ready after $((SECONDS - started)) s, as user $user with capabilities $capabilities"
[[ $user == 10001 && $capabilities == 0000000000000000 ]] || fail "it runs with too many rights"

curl --silent --show-error --fail-with-body --form file=@app/web/sample.mp4 \
    "http://127.0.0.1:$port/classify" >"$scratch/answer" || fail "$(cat "$scratch/answer")"
echo "$image tags a video, with $(curl --silent "http://127.0.0.1:$port/model" \
    | python3 -c 'import json, sys; m = json.load(sys.stdin); print("FFmpeg", m["ffmpeg"], m["sandbox"])')"
echo "$image used at most $(sed -n 's/^VmHWM:\s*//p' "/proc/$service/status") in its first process"

started=$SECONDS
kill -TERM "$service"
code=0
wait "$service" || code=$?
service=
((code == 0 && SECONDS - started <= 30)) || fail "SIGTERM: exit code $code after $((SECONDS - started)) s"
echo "$image ends with 0, $((SECONDS - started)) s after SIGTERM"

environment+=(KINOLEX_CHECKPOINT=org/name)
code=0
(run timeout 120 entrypoint serve) >"$scratch/log" 2>&1 || code=$?
((code != 0 && code != 124)) && grep --quiet HF_HUB_OFFLINE "$scratch/log" \
    || fail "KINOLEX_CHECKPOINT=org/name, offline: exit code $code, and not what to set"
echo "$image says what to do for a checkpoint of the Hub: $(grep --max-count 1 HF_HUB_OFFLINE "$scratch/log")"
