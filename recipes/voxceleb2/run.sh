#!/usr/bin/env bash
# VoxCeleb2 for training, and VoxCeleb1's three lists (O, E, H) for testing: are two recordings of one speaker.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=voxceleb2
upstreams=(distil_mini tera_mini log_mel)
tasks=(speaker_verification)
source "$recipe/../common.sh"

download() {
    fail "VoxCeleb is got from https://www.robots.ox.ac.uk/~vgg/data/voxceleb/; name the folder of VoxCeleb2 with --data."
}

# VoxCeleb1 lies beside VoxCeleb2, or where $VOXCELEB1 says.
prepare() {
    local tests=${VOXCELEB1:-$(dirname "$data")/voxceleb1}
    [[ -d $tests ]] || fail "there is no $tests, which has the test recordings; say where VoxCeleb1 is with VOXCELEB1=FOLDER."
    "$python" "$recipe/prepare.py" "$data" "$manifests" --voxceleb1 "$tests"
}

# O is the split test. E and H, where their lists are there, are evaluated after it.
evaluate_run() {
    local split
    for split in test extended hard; do
        [[ ! -f $manifests/$split.jsonl.gz ]] || audiossl evaluate "$4" --split "$split"
    done
}

run_stages "$@"
