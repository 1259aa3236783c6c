#!/usr/bin/env bash
# Audio SNIPS: the slots of a request and their values, by synthetic voices that are not in training.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=SNIPS
upstreams=(distil_mini tera_mini log_mel)
tasks=(slot_filling)
source "$recipe/../common.sh"

download() { fail "Audio SNIPS is to be fetched by hand (see $recipe/README.md); name its folder with --data."; }

run_stages "$@"
