#!/usr/bin/env bash
# Copies the files that the image is built from to a folder: `docker/copy-context.sh FOLDER`. buildah looks
# at every file of its context for each COPY, which takes minutes when an environment is in it.
set -euo pipefail
cd "$(dirname "$0")/.."
sed -n 's/^!//p' .dockerignore | tar --create --exclude=__pycache__ --files-from - | tar --extract --directory "$1"
cp Dockerfile .dockerignore "$1"
