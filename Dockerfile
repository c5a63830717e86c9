# Two stages: the first installs what the lock file names, the second runs it and nothing else.
FROM python:3.11-slim AS build

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /venv
COPY requirements.txt /build/
RUN /venv/bin/pip install --require-hashes -r /build/requirements.txt
COPY . /app
WORKDIR /app
RUN /venv/bin/pip install --no-deps --no-build-isolation -e . \
    && /venv/bin/python -m compileall -q /app

FROM python:3.11-slim

LABEL org.opencontainers.image.title="relevo" \
      org.opencontainers.image.licenses="MIT"
RUN useradd --system --uid 10001 --home-dir /data --shell /usr/sbin/nologin relevo \
    && install -d -o relevo -g relevo -m 0700 /data \
    && install -d -o relevo -g relevo -m 0755 /sites
COPY --from=build /venv /venv
COPY --from=build /app /app

# All that is written lies below DATA_DIR, so the rest of the file system may be read-only.
ENV PATH=/venv/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    DATA_DIR=/data \
    HOST=0.0.0.0
USER relevo
WORKDIR /app
VOLUME ["/data", "/sites"]
EXPOSE 8000 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as u; u.urlopen('http://127.0.0.1:' + os.environ.get('PORT', '8000') + '/readyz', timeout=4)"]
ENTRYPOINT ["/bin/sh", "-c", "relevo setup && exec relevo serve"]
