# Two images from one file: `server` (no torch) and `demo` (a small real training run).
# Both install from this repository with the versions of constraints.txt.

FROM python:3.12-slim AS base
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
WORKDIR /src
COPY constraints.txt ./
RUN pip install --constraint constraints.txt hatchling editables
COPY contract contract
RUN useradd --create-home --uid 10001 rolloutwatch

FROM base AS server
COPY dashboard dashboard
COPY server server
COPY docs docs
RUN pip install --constraint constraints.txt --no-build-isolation ./contract ./dashboard ./server \
    && mkdir /data && chown rolloutwatch /data
USER rolloutwatch
WORKDIR /home/rolloutwatch
VOLUME /data
EXPOSE 8050
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:8050/healthz', timeout=2)"]
# A container has to listen on all its addresses to be reached, so everybody has to log in: by a token of ROLLOUTWATCH_TOKENS,
# or by a link that `rolloutwatch access link` prints; without any token one is printed at the start.
ENTRYPOINT ["rolloutwatch", "serve", "--host", "0.0.0.0", "--require-login", "--data-dir", "/data"]

FROM base AS demo
COPY correction correction
COPY client client
# On Linux the index may hand out a torch build with CUDA; name another index with --build-arg PIP_EXTRA_INDEX_URL=... to avoid it.
ARG PIP_EXTRA_INDEX_URL
RUN pip install --constraint constraints.txt --no-build-isolation ./contract ./correction ./client
COPY examples examples
USER rolloutwatch
ENTRYPOINT ["python", "examples/tiny_rl.py"]
