#!/usr/bin/env bash
# VoxCeleb1: are two recordings of one speaker, for speakers that nobody trained on; and which of 1251 speakers is it.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=voxceleb1
upstreams=(distil_mini tera_mini log_mel)
tasks=(speaker_verification)
source "$recipe/../common.sh"

download() {
    fail "VoxCeleb1 is got from https://www.robots.ox.ac.uk/~vgg/data/voxceleb/; name its folder with --data."
}

run_stages "$@"
