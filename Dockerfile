# Roost as an image, without root and without what builds it.
#   docker build -t roost .
#   docker build -t roost --build-arg EXTRAS=all .       the extras of pyproject.toml
ARG PYTHON=3.11.15-slim-trixie

FROM python:${PYTHON} AS build
ARG EXTRAS=otel,dash,kafka
ENV PIP_CACHE_DIR=/var/cache/pip PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /build
COPY . .
RUN --mount=type=cache,target=/var/cache/pip \
    python -m pip wheel --no-deps --wheel-dir dist .
RUN --mount=type=cache,target=/var/cache/pip \
    python -m venv /opt/roost \
    && wheel="$(echo dist/roost-*.whl)" \
    && /opt/roost/bin/pip install -c constraints.txt "${wheel}${EXTRAS:+[${EXTRAS}]}" \
    && /opt/roost/bin/pip uninstall --yes pip setuptools \
    && find /opt/roost -type d -name tests -prune -exec rm -rf {} +

# The environment works only where it was made, and with the Python that made it: the same path, the same base.
FROM python:${PYTHON}
LABEL org.opencontainers.image.title="Roost" \
      org.opencontainers.image.description="One shared, event-sourced memory for a flock of AI agents." \
      org.opencontainers.image.licenses="Apache-2.0"
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin roost
COPY --from=build /opt/roost /opt/roost
ENV PATH=/opt/roost/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
USER 10001:10001
WORKDIR /home/roost
ENTRYPOINT ["roost"]
CMD ["--help"]
