#!/usr/bin/env bash
# InfantMarmosetsVox: type of call and caller of infant marmosets, 44.1 kHz.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=InfantMarmosetsVox native_hz=44100
upstreams=(log_mel@time_expand tera_mini@{resample,time_expand,band_split})
tasks=(calltype caller)
source "$recipe/../common.sh"

download() {
    local name
    for name in documentation twin_{1..5}; do
        fetch_archive "https://zenodo.org/records/10130104/files/InfantMarmosetsVox_$name.tar.gz" "$1"
    done
}

prepare() {
    "$python" "$recipe/prepare.py" "$data" "$manifests" --split recording
    "$python" "$recipe/prepare.py" "$data" "$manifests/published" --split published
}

run_stages "$@"
