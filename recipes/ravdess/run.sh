#!/usr/bin/env bash
# RAVDESS: which of eight emotions an actor speaks, for actors who are not in training.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=Audio_Speech_Actors_01-24
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(emotion)
source "$recipe/../common.sh"

download() {
    fail "RAVDESS is to be fetched by hand (Audio_Speech_Actors_01-24.zip, zenodo.org/records/1188976); name its folder with --data."
}

run_stages "$@"
