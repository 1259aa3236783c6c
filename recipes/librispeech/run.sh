#!/usr/bin/env bash
# LibriSpeech in its published layout: SUPERB's speech recognition and phone recognition.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=LibriSpeech
upstreams=(tera_mini log_mel)
tasks=(asr)
source "$recipe/../common.sh"

url=https://www.openslr.org/resources

download() {
    local part
    fetch_file "$url/11/librispeech-lexicon.txt" "$1/librispeech-lexicon.txt"
    for part in train-clean-100 dev-clean test-clean; do
        fetch_file "$url/12/$part.tar.gz" "data/downloads/$part.tar.gz"
        tar --extract --gzip --file "data/downloads/$part.tar.gz" --directory "$1"
    done
}

prepare() {
    local file lexicons=()
    for file in "$data"/*lexicon*.txt; do
        [[ ! -f $file ]] || lexicons+=(--lexicon "$file")
    done
    "$python" "$recipe/prepare.py" "$data" "$manifests" "${lexicons[@]}"
}

run_stages "$@"
