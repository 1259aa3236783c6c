#!/usr/bin/env bash
# Fluent Speech Commands: what is to be done to what and where, in one spoken command.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=fluent_speech_commands_dataset
upstreams=(distil_mini tera_mini log_mel fbank)
tasks=(intent_classification)
source "$recipe/../common.sh"

download() {
    fail "Fluent Speech Commands is to be asked for at its site (see $recipe/README.md); name its folder with --data."
}

run_stages "$@"
