#!/usr/bin/env bash
# CN-Celeb: are two recordings of one speaker, enrolled in one genre and tested in another.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=CN-Celeb_flac
upstreams=(distil_mini tera_mini log_mel)
tasks=(speaker_verification)
source "$recipe/../common.sh"

download() { fetch_archive https://www.openslr.org/resources/82/cn-celeb_v2.tar.gz "$1" --strip-components=1; }

# CN-Celeb2, where it lies beside CN-Celeb, is trained on as well.
prepare() {
    local more
    more=$(dirname "$data")/CN-Celeb2_flac
    if [[ -d $more ]]; then more=(--more "$more"); else more=(); fi
    "$python" "$recipe/prepare.py" "$data" "$manifests" "${more[@]}"
}

run_stages "$@"
