#!/usr/bin/env bash
# Six wake words (Picovoice's wake word benchmark): which word was spoken.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=wakewords
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(keyword_spotting)
source "$recipe/../common.sh"

download() {
    fetch_repository https://github.com/Picovoice/wake-word-benchmark.git 84919190fb1891bf0936dcb577d9268e467f876f "$1"
}

run_stages "$@"
