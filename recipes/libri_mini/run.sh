#!/usr/bin/env bash
# Ten speakers of LibriSpeech test-other: who is it, from three seconds; and verification of speakers never trained on.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=libri_mini
upstreams=(tera_mini log_mel fbank)
tasks=(speaker)
small_tasks=(verification asr)
source "$recipe/../common.sh"
parse_flags "$@"

url=https://www.openslr.org/resources/12/test-other.tar.gz
sha256=d09c181bba5cf717b3dee7d4d592af11a3ee3a09e08ae025c5506f6ebe961c29

if stage 0 download; then
    if [[ -n $data ]]; then
        echo "The recordings are in $data."
    else
        mkdir -p data/downloads/libri_mini.part
        archive=data/downloads/test-other.tar.gz
        if ! curl --fail --silent --show-error --location --retry 2 --continue-at - --output "$archive" "$url"; then
            echo "error: $url could not be downloaded; unpack it elsewhere and give the folder with --data." >&2
            exit 1
        fi
        if ! echo "$sha256  $archive" | sha256sum --check --quiet -; then
            echo "error: $archive is not the published file; delete it and start again." >&2
            exit 1
        fi
        tar --extract --gzip --file "$archive" --directory data/downloads/libri_mini.part
        mv data/downloads/libri_mini.part data/downloads/libri_mini
        find_data
    fi
fi

if stage 1 prepare; then
    need_data
    "$python" "$recipe/prepare.py" "$data" "$manifests"
    if [[ " ${tasks[*]} " == *" verification "* ]]; then
        "$python" "$recipe/prepare_verification.py" "$data" "$manifests/verification"
    fi
    if [[ " ${tasks[*]} " == *" asr "* ]]; then "$python" "$recipe/prepare_asr.py" "$data" "$manifests/asr"; fi
fi

if stage 2 train; then train_all; fi

if stage 3 evaluate; then evaluate_all; fi

if stage 4 report; then report_all; fi
