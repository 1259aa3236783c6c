"""Tables of annotations in three forms."""

from __future__ import annotations

RAVEN = (
    "Selection\tView\tChannel\tBegin Time (s)\tEnd Time (s)\tLow Freq (Hz)\tHigh Freq (Hz)\tAnnotation\n"
    "1\tWaveform 1\t1\t0.5\t0.9\t0.0\t16000.0\tphee\n"
    "1\tSpectrogram 1\t1\t0.5\t0.9\t5000.0\t9000.0\tphee\n"
    '2\tSpectrogram 1\t1\t1.25\t1.5\t6000.0\t8000.0\ttwitter "short"\n'
)


AUDACITY = "0.500000\t0.900000\tphee\n\\\t5000.000000\t9000.000000\n1.250000\t1.500000\ttwitter\n"
CSV = "file,onset,offset,calltype,caller\nday1.wav,0.5,0.9,phee,ann\nday1.wav,1.25,1.5,twitter,bob\n"
