#!/usr/bin/env bash
# A language of Common Voice: what is said, in letters. VALIDATED=1 trains on all validated clips.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=common_voice
upstreams=(distil_mini tera_mini log_mel)
tasks=(asr)
source "$recipe/../common.sh"

download() {
    fail "Common Voice is got from its site by hand; unpack a language, and name its folder (cv-corpus-*/cy) with --data."
}

prepare() {
    "$python" "$recipe/prepare.py" "$data" "$manifests" ${VALIDATED:+--train validated}
}

run_stages "$@"
