#!/usr/bin/env bash
# Watkins Marine Mammal Sound Database, best cuts: which species is heard.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=watkins native_hz=44100
upstreams=(log_mel@time_expand tera_mini@{resample,time_expand})
tasks=(species)
source "$recipe/../common.sh"

download() { fail "the archive is https://archive.org/download/watkins_202104/watkins.zip; unpack it and give its folder with --data."; }

prepare() {
    "$python" "$recipe/prepare.py" "$data" "$manifests" --split tape
    "$python" "$recipe/prepare.py" "$data" "$manifests/published" --split published
}

run_stages "$@"
