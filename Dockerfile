# Two images: `service` (the default) serves models, without TensorFlow; `train` makes them.
#   docker build -t offnormal .
#   docker build -t offnormal-train --target train .
# Builds with BuildKit and with the classic builder; nothing here needs a newer syntax than the built-in one.

ARG BASE=python:3.12-slim-bookworm

# What serving needs, as locked: every file is checked against its hash. The lock has the build backend too,
# because the project is built without fetching anything else.
FROM ${BASE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_NO_COMPILE=1 PIP_ROOT_USER_ACTION=ignore \
    PYTHONDONTWRITEBYTECODE=1
COPY requirements/serve.lock /src/requirements/
RUN python -m venv --without-pip /opt/offnormal \
 && pip --python /opt/offnormal/bin/python install --quiet --require-hashes -r /src/requirements/serve.lock

# The project by itself, in a folder that is laid over the environment: a new release is one small layer.
FROM build AS project
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY detector detector
COPY history history
COPY evaluation evaluation
COPY service service
COPY training training
COPY offnormal offnormal
COPY cli cli
RUN pip --python /opt/offnormal/bin/python install --quiet --no-deps --no-build-isolation --prefix /opt/project . \
 && python -m compileall -q -s /opt/project -p /opt/offnormal --invalidation-mode unchecked-hash /opt/project

# The environment without what a running service never imports: the build backend, the libraries' own tests, ONNX
# Runtime's tools for making and converting models, and its second copy as a C library, to which nothing is linked.
# `pip check` holds that no package that is needed went with them.
FROM build AS runtime
RUN pip --python /opt/offnormal/bin/python uninstall --quiet --yes \
      hatchling editables pathspec pluggy tomlkit trove-classifiers \
 && pip --python /opt/offnormal/bin/python check \
 && cd /opt/offnormal/lib/python3.12/site-packages \
 && rm -rf onnxruntime/transformers onnxruntime/quantization onnxruntime/tools onnxruntime/datasets \
      onnxruntime/capi/libonnxruntime.so.* \
 && find . -type d -name tests -prune -exec rm -rf {} + \
 && python -m compileall -q -j 0 --invalidation-mode unchecked-hash /opt/offnormal/lib

# What the environment is made of, by name, version and licence (CycloneDX); what writes it stays behind.
FROM ${BASE} AS bill
COPY requirements/sbom.lock pyproject.toml /src/
RUN python -m venv /opt/bill \
 && /opt/bill/bin/pip install --quiet --no-cache-dir --disable-pip-version-check --require-hashes -r /src/sbom.lock
COPY --from=runtime /opt/offnormal /opt/offnormal
RUN /opt/bill/bin/cyclonedx-py environment --pyproject /src/pyproject.toml --mc-type application \
      --output-reproducible -o /src/sbom.cdx.json /opt/offnormal/bin/python

FROM ${BASE} AS service
# The base brings pip; nothing is installed here any more.
RUN rm -rf /usr/local/bin/pip* /usr/local/lib/python3.12/ensurepip /usr/local/lib/python3.12/site-packages/* \
 && groupadd --system --gid 10001 offnormal \
 && useradd --system --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin offnormal \
 && install -d -o 10001 -g 10001 /state
COPY --from=runtime /opt/offnormal /opt/offnormal
COPY --from=bill /src/sbom.cdx.json /opt/offnormal/
COPY models /models
COPY --from=project /opt/project /opt/offnormal
ENV PATH=/opt/offnormal/bin:$PATH \
    HOME=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OFFNORMAL_MODELS=/models \
    OFFNORMAL_STATE=/state
USER 10001:10001
WORKDIR /tmp
# Baselines of assets. Declared, so that the folder can be written to when the rest is read-only.
VOLUME /state
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, ssl, urllib.request as r; e = os.environ.get; tls = e('OFFNORMAL_TLS_CERTIFICATE'); r.urlopen(f\"{'https' if tls else 'http'}://127.0.0.1:{e('OFFNORMAL_PORT') or 8000}/readyz\", timeout=4, context=ssl._create_unverified_context() if tls else None)"]
ENTRYPOINT ["offnormal"]
# Beyond loopback the service wants OFFNORMAL_KEYS_FILE, or OFFNORMAL_ALLOW_ANONYMOUS=true on a closed network.
CMD ["serve", "--host", "0.0.0.0"]
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=
LABEL org.opencontainers.image.title="Offnormal" \
      org.opencontainers.image.description="Anomaly detection for industrial sensors: a window of readings in, a verdict out." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}" \
      org.opencontainers.image.base.name="python:3.12-slim-bookworm"

# Training: the same command with TensorFlow beside it.
FROM build AS train-build
COPY requirements/train.lock /src/requirements/
RUN rm -rf /opt/offnormal \
 && python -m venv --without-pip /opt/offnormal \
 && pip --python /opt/offnormal/bin/python install --quiet --require-hashes -r /src/requirements/train.lock \
 && pip --python /opt/offnormal/bin/python uninstall --quiet --yes \
      hatchling editables pathspec pluggy tomlkit trove-classifiers \
 && pip --python /opt/offnormal/bin/python check

FROM ${BASE} AS train
RUN groupadd --system --gid 10001 offnormal \
 && useradd --system --uid 10001 --gid 10001 --home-dir /tmp --no-create-home --shell /usr/sbin/nologin offnormal
COPY --from=train-build /opt/offnormal /opt/offnormal
COPY --from=project /opt/project /opt/offnormal
ENV PATH=/opt/offnormal/bin:$PATH \
    HOME=/tmp \
    MPLCONFIGDIR=/tmp \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    OFFNORMAL_MODELS=/models \
    TF_CPP_MIN_LOG_LEVEL=2
USER 10001:10001
WORKDIR /work
ENTRYPOINT ["offnormal"]
CMD ["train", "--help"]

# What a build without --target gives. Stages above it that are not needed are skipped by BuildKit.
FROM service
