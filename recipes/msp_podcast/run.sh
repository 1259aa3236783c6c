#!/usr/bin/env bash
# MSP-Podcast: which of four emotions a turn of a podcast has, and its valence, arousal and dominance.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=MSP-PODCAST
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(emotion attributes)
source "$recipe/../common.sh"

download() {
    fail "MSP-Podcast is given to those who sign its licence (UT Dallas, MSP lab); name its folder with --data."
}

run_stages "$@"
