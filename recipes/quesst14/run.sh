#!/usr/bin/env bash
# QUESST 2014: which documents a spoken query is said in.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=quesst14Database
upstreams=(distil_mini tera_mini log_mel)
tasks=(query_by_example)
source "$recipe/../common.sh"

download() { fetch_archive https://speech.fit.vutbr.cz/files/quesst14Database.tgz "$1" --strip-components 1; }

run_stages "$@"
