#!/usr/bin/env bash
# Barks: which of ten dogs it is, each bark tested once.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=dogs native_hz=44100
upstreams=(log_mel@time_expand tera_mini@{resample,time_expand})
tasks=(dog)
source "$recipe/../common.sh"

download() { fail "the archive is https://archive.org/download/dog_barks/dog_barks.zip; unpack it and give its folder with --data."; }

run_stages "$@"
