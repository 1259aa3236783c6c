#!/usr/bin/env bash
# Noises of ESC-10 and rooms that are made, for data.augment. There is nothing to train: stages 0 and 1 are all.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=esc10_16k
upstreams=()
tasks=()
source "$recipe/../common.sh"

# The newest commit holds no sound any more.
download() { fetch_repository https://github.com/karolpiczak/ESC-10.git 553c8f1 "$1"; }

run_stages --stop-stage 1 "$@"
