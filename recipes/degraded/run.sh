#!/usr/bin/env bash
# Opinion scores of recordings that were made worse in three ways, for speakers who were not in training.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=libri_mini
upstreams=(tera_mini log_mel)
tasks=(regression mos)
source "$recipe/../common.sh"

download() { fail "give libri_mini by --data or \$AUDIOSSL_DATA: one utterance each of many speakers of LibriSpeech, with manifest.csv."; }

run_stages "$@"
