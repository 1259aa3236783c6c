#!/usr/bin/env bash
# Measures the toolkit on the GPU of this machine: bash benchmarks/gpu.sh --out DIR (see --help for more).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}" HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
exec "${PYTHON:-python3}" -u -m benchmarks.gpu "$@"
