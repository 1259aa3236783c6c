#!/usr/bin/env bash
# LibriSpeech in its published layout: SUPERB's speech recognition and phone recognition. LABELS=10m, 1h or 10h trains on
# Libri-light's limited sets.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=LibriSpeech
upstreams=(distil_mini tera_mini log_mel)
tasks=(asr)
source "$recipe/../common.sh"

url=https://www.openslr.org/resources
# The first pronunciations of SUPERB's phone recognition: of its code, not openslr's librispeech-lexicon.txt.
lexicon_url=https://raw.githubusercontent.com/s3prl/s3prl/d971e0cfe842c735354671be65a8e3eeab9603c7/s3prl/downstream/ctc/lexicon
lexicons=(librispeech-lexicon-200k-g2p.txt librispeech-lexicon-allothers-g2p.txt)

download() {
    local part name
    for name in "${lexicons[@]}"; do
        fetch_file "$lexicon_url/$name" "$1/$name"
    done
    for part in train-clean-100 dev-clean test-clean; do
        fetch_file "$url/12/$part.tar.gz" "data/downloads/$part.tar.gz"
        tar --extract --gzip --file "data/downloads/$part.tar.gz" --directory "$1"
    done
}

prepare() {
    local file given=()
    # The two of SUPERB in their order, then whatever else there is: the first pronunciation of the first file counts.
    for file in "${lexicons[@]/#/$data/}" "$data"/*lexicon*.txt; do
        [[ ! -f $file || " ${given[*]} " == *" $file "* ]] || given+=(--lexicon "$file")
    done
    if [[ ! -f $data/${lexicons[0]} && ${#given[@]} -gt 0 ]]; then
        echo "The lexicon is not SUPERB's (${lexicons[*]}): a PER is then against other references than published ones."
    fi
    [[ -z ${LABELS:-} ]] || given+=(--labels "$LABELS")
    "$python" "$recipe/prepare.py" "$data" "$manifests" "${given[@]}"
}

run_stages "$@"
