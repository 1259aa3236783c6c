#!/usr/bin/env bash
# Calls and songs of finches in hours of rain: when what calls, learnt from strong or from weak labels.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=finches
upstreams=(log_mel)
tasks=(strong weak)
source "$recipe/../common.sh"

# Spectral features at the recordings' own rate.
settings_of() {
    if [[ $2 == log_mel ]]; then echo "upstream_options.sample_rate_hz=32000"; fi
}

run_stages "$@"
