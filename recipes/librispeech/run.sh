#!/usr/bin/env bash
# LibriSpeech in its published layout: SUPERB's speech recognition and phone recognition.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=LibriSpeech
upstreams=(tera_mini log_mel)
tasks=(asr)
source "$recipe/../common.sh"
parse_flags "$@"

url=https://www.openslr.org/resources

if stage 0 download; then
    if [[ -n $data ]]; then
        echo "The recordings are in $data."
    else
        mkdir -p data/downloads
        for file in 12/train-clean-100.tar.gz 12/dev-clean.tar.gz 12/test-clean.tar.gz 11/librispeech-lexicon.txt; do
            place=data/downloads/${file#*/}
            if ! curl --fail --silent --show-error --location --retry 2 --continue-at - --output "$place" "$url/$file"; then
                echo "error: $url/$file could not be downloaded; unpack LibriSpeech elsewhere and name it with --data." >&2
                exit 1
            fi
        done
        for part in train-clean-100 dev-clean test-clean; do
            tar --extract --gzip --file "data/downloads/$part.tar.gz" --directory data/downloads
        done
        mv data/downloads/librispeech-lexicon.txt data/downloads/LibriSpeech
        find_data
    fi
fi

if stage 1 prepare; then
    need_data
    lexicons=()
    for file in "$data"/*lexicon*.txt; do
        [[ ! -f $file ]] || lexicons+=(--lexicon "$file")
    done
    "$python" "$recipe/prepare.py" "$data" "$manifests" "${lexicons[@]}"
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
