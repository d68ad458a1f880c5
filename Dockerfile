# docker build -t nostrbot .
# docker run --rm -v nostrbot:/data nostrbot init --platform npub1… --relay wss://relay.example.com
# docker run -d --name nostrbot --restart unless-stopped -v nostrbot:/data nostrbot
ARG PYTHON=3.12

FROM python:${PYTHON}-slim AS build
WORKDIR /src
# What the registry sends is checked against the lock here (only the tool that builds tlv8, which has no wheel, is not);
# every later step takes from /wheels alone.
COPY requirements.lock ./
RUN pip wheel --no-cache-dir --require-hashes --wheel-dir /wheels -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY nostrbot ./nostrbot
RUN pip install --no-cache-dir --no-index -f /wheels hatchling \
 && pip wheel --no-cache-dir --no-index --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m venv /opt/nostrbot \
 && /opt/nostrbot/bin/pip install --no-cache-dir --no-index -f /wheels "nostrbot[speed]"

FROM python:${PYTHON}-slim
# The same number on every host: the owner of a bind-mounted /data can be told in advance.
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin nostrbot \
 && install --directory --owner nostrbot --group nostrbot --mode 0700 /data
COPY --from=build /opt/nostrbot /opt/nostrbot
ENV PATH=/opt/nostrbot/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    NOSTRBOT_HOME=/data
USER nostrbot
WORKDIR /data
VOLUME /data
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 CMD ["nostrbot", "status", "--check"]
ENTRYPOINT ["nostrbot"]
CMD ["run"]
