#!/usr/bin/env bash
# BEANS: twelve data sets of animals, classified and detected, by an encoder that is frozen or fine-tuned.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=beans
upstreams=(tera_mini log_mel)
tasks=(watkins dogs)
source "$recipe/../common.sh"

download() { fail "BEANS' own scripts fetch and cut its corpora (github.com/earthspecies/beans); run them, then give the clone with --data."; }

prepare() { "$python" "$recipe/prepare.py" "$data" "$manifests" "${tasks[@]//_/-}"; }

run_stages "$@"
