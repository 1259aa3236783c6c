"""Descriptors of voice and their functionals (eGeMAPS) by openSMILE as upstreams: paralinguistic, ..._functionals."""
