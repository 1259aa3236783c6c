#!/usr/bin/env bash
# BirdSet: all birds in 5 s of soundscapes, learnt from focal recordings; the part HSN (High Sierras).
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=birdset native_hz=32000
upstreams=(log_mel@time_expand tera_mini@{resample,time_expand})
tasks=(birds)
source "$recipe/../common.sh"

download() { fail "a part of BirdSet is fetched from huggingface.co/datasets/DBD-research-group/BirdSet; unpack it and give its folder with --data."; }

prepare() { "$python" "$recipe/prepare.py" "$data" "$manifests" --part HSN; }

run_stages "$@"
