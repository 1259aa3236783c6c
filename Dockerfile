# syntax=docker/dockerfile:1
# docker build --target cpu -t audiossl:cpu .      docker build --target cuda -t audiossl:cuda .
# docs/interchange.md says how they are run. Versions of torch and of whatever else is pinned: constraints.txt.

ARG PYTHON=3.11

FROM python:${PYTHON}-slim-bookworm AS wheel
ENV PIP_CACHE_DIR=/pip-cache
WORKDIR /src
COPY setup.cfg pyproject.toml README.md LICENSE ./
COPY audiossl audiossl
COPY upstreams upstreams
COPY downstreams downstreams
COPY recipes recipes
RUN --mount=type=cache,target=/pip-cache pip wheel --no-deps --wheel-dir /wheels .

# What both share. The wheel of soundfile brings libsndfile, so nothing is installed beside Python's packages.
FROM python:${PYTHON}-slim-bookworm AS base
LABEL org.opencontainers.image.title="audiossl" org.opencontainers.image.licenses="Apache-2.0"
# Anybody may write the cache, so that `--user` can name who owns the results.
RUN useradd --create-home --uid 1000 audiossl \
    && install --directory --mode=1777 /cache /cache/huggingface /cache/numba /cache/matplotlib \
    && install --directory --owner=audiossl /data
ENV AUDIOSSL_CACHE=/cache HF_HOME=/cache/huggingface NUMBA_CACHE_DIR=/cache/numba MPLCONFIGDIR=/cache/matplotlib \
    PYTHONUNBUFFERED=1 PIP_CACHE_DIR=/pip-cache
ARG EXTRAS=hf,lora,onnx,parquet

FROM base AS cpu
RUN --mount=type=cache,target=/pip-cache \
    --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --constraint /constraints.txt --index-url https://download.pytorch.org/whl/cpu torch \
    && pip install --constraint /constraints.txt "audiossl-toolkit[${EXTRAS}] @ file://$(echo /wheels/*.whl)"
USER 1000
WORKDIR /data
VOLUME /cache
ENTRYPOINT ["audiossl"]
CMD ["--help"]

# torch's own wheels bring CUDA. Of the machine, the driver and NVIDIA's container toolkit are needed.
FROM base AS cuda
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
RUN --mount=type=cache,target=/pip-cache \
    --mount=type=bind,from=wheel,source=/wheels,target=/wheels \
    --mount=type=bind,source=constraints.txt,target=/constraints.txt \
    pip install --constraint /constraints.txt "audiossl-toolkit[${EXTRAS}] @ file://$(echo /wheels/*.whl)"
USER 1000
WORKDIR /data
VOLUME /cache
ENTRYPOINT ["audiossl"]
CMD ["--help"]
