#!/usr/bin/env bash
# Finches at 32 kHz: who calls, which syllable, which bird sings, what is heard when, where syllables begin and end; an encoder of speech at 16 kHz in
# three ways beside spectral features.
set -euo pipefail
recipe=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
corpus=finches native_hz=32000
encoder=tera_mini
upstreams=(log_mel@time_expand fbank@time_expand $encoder@{resample,time_expand,band_split} $encoder@time_expand:random)
tasks=(callers syllables syllables_few birds windows events segments)
source "$recipe/../common.sh"

# A small wav2vec 2.0; the published sizes take hours here.
settings_of() {
    local part="upstream_options."
    [[ $2 != wav2vec2@* ]] || part+="encoder_options."
    if [[ $2 == wav2vec2*:random ]]; then
        echo "${part}conv_widths=[128,128,128,128,128,128,128]"
        echo "$part"{width=256,num_layers=4,num_heads=4,ffn_width=1024}
    fi
}

run_stages "$@"
