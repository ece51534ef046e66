# The service in a container: `serve`, `worker`, `migrate` and the commands of a production set-up.
# No key, no setting and no database is inside; they come from the environment and from a mounted folder.

FROM python:3.11-slim AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
RUN python -m venv /opt/build && python -m venv /opt/elicense
WORKDIR /src
# Packages first: this layer is built again only when a pin changes.
COPY requirements.txt requirements-build.txt ./
RUN /opt/build/bin/pip install --require-hashes -r requirements-build.txt \
    && /opt/elicense/bin/pip install --require-hashes -r requirements.txt
COPY pyproject.toml README.md ./
COPY clients/python clients/python
COPY migrations migrations
COPY app app
# Everything our two packages need is installed and pinned by hash above: nothing is fetched here.
RUN /opt/build/bin/pip wheel --no-deps --no-build-isolation --wheel-dir /wheels ./clients/python . \
    && /opt/elicense/bin/pip install --no-deps --no-index /wheels/*.whl \
    && /opt/elicense/bin/pip uninstall --yes pip setuptools

FROM python:3.11-slim
RUN groupadd --gid 10001 elicense \
    && useradd --uid 10001 --gid elicense --no-create-home --home-dir /var/lib/elicense --shell /usr/sbin/nologin elicense \
    && install --directory --owner=elicense --group=elicense --mode=0700 /var/lib/elicense /var/lib/elicense/data /var/lib/elicense/keys /var/lib/elicense/root
COPY --from=build /opt/elicense /opt/elicense
ENV PATH=/opt/elicense/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    ELICENSE_ENV=production \
    ELICENSE_KEYS_DIR=/var/lib/elicense/keys
WORKDIR /var/lib/elicense
USER elicense
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
    CMD ["python", "-c", "import sys, urllib.request; sys.exit(urllib.request.urlopen('http://127.0.0.1:8000/readyz', timeout=2).status != 200)"]
ENTRYPOINT ["elicense"]
CMD ["serve", "--host", "0.0.0.0", "--port", "8000", "--workers", "2"]
