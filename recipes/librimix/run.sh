#!/usr/bin/env bash
# Libri2Mix: who speaks when, of two.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=Libri2Mix
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(diarization)
source "$recipe/../common.sh"

download() {
    fail "Libri2Mix is made from LibriSpeech and WHAM! by github.com/JorisCos/LibriMix; name its folder with --data."
}

run_stages "$@"
