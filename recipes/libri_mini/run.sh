#!/usr/bin/env bash
# Ten speakers of LibriSpeech test-other: who is it, from three seconds; and verification of speakers never trained on.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=libri_mini
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(speaker)
source "$recipe/../common.sh"

sha256=d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29

download() {
    local archive=data/downloads/test-other.tar.gz
    fetch_file https://www.openslr.org/resources/12/test-other.tar.gz "$archive"
    if ! echo "$sha256  $archive" | sha256sum --check --quiet -; then
        fail "$archive is not the published file; delete it and start again."
    fi
    mkdir "$1"
    tar --extract --gzip --file "$archive" --directory "$1"
}

prepare() {
    "$python" "$recipe/prepare.py" "$data" "$manifests"
    if [[ " ${tasks[*]} " == *" verification"* ]]; then
        "$python" "$recipe/prepare_verification.py" "$data" "$manifests/verification"
    fi
    if [[ " ${tasks[*]} " == *" diarization "* ]]; then
        "$python" "$recipe/prepare_diarization.py" "$data" "$manifests/diarization"
    fi
    if [[ " ${tasks[*]} " == *" asr "* ]]; then "$python" "$recipe/prepare_asr.py" "$data" "$manifests/asr"; fi
    if [[ " ${tasks[*]} " == *" phones "* ]]; then
        "$python" "$recipe/prepare_alignments.py" "$data" "$manifests/alignments" --skip-bad
    fi
}

run_stages "$@"
