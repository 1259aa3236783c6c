#!/usr/bin/env bash
# Telephone prompts of one speaker: what is said, what it asks for (--task intents), and its slots (--task slot_filling).
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=asterisk_en
upstreams=(distil_mini tera_mini log_mel)
tasks=(asr)
source "$recipe/../common.sh"

download() { fail "there is no download; make the folder as $recipe/README.md says, and name it with --data."; }

run_stages "$@"
