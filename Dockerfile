# One image for each part of Understudy: docker build --build-arg SERVICE=replicator .
# SERVICE is collector, predictor, balancer, replicator, health, cli, or the example service: catalog.
# The layers of all of them are the same but for the last one. No BuildKit is needed; behind a proxy: --network host.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS manifests
WORKDIR /app
COPY . .
# What npm looks at, and nothing else: a changed source does not install everything anew.
RUN find . -type f ! -name package.json ! -name package-lock.json -exec rm -f {} +

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY --from=manifests /app .
# Another registry than the public one, where that cannot be reached.
ARG NPM_CONFIG_REGISTRY
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error \
  && npm sbom --package-lock-only --omit=dev --omit=optional --sbom-format=cyclonedx > sbom.cdx.json \
  && find node_modules -type f \( -name '*.map' -o -name '*.md' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -exec rm -f {} +

# Node and the libraries it names: no shell, no package manager, nothing else that could be run.
FROM ${NODE_IMAGE} AS node
RUN set -e; \
  for file in /usr/local/bin/node $(LD_TRACE_LOADED_OBJECTS=1 /usr/local/bin/node | grep -o '/[^ )]*'); do \
    mkdir -p "/slim${file%/*}"; cp -L "$file" "/slim$file"; \
  done; \
  mkdir -p /slim/etc /slim/tmp /slim/var/lib/understudy; \
  cp /etc/passwd /etc/group /slim/etc/; \
  chmod 1777 /slim/tmp; chown 1000:1000 /slim/var/lib/understudy

FROM ${NODE_IMAGE} AS chosen
ARG SERVICE
COPY . /app
RUN set -e; cd /app; mkdir /chosen; test -n "$SERVICE" || { echo "say which: --build-arg SERVICE=replicator" >&2; exit 1; }; \
  for folder in services/$SERVICE examples/$SERVICE $SERVICE; do \
    if [ -f $folder/src/main.ts ]; then echo "import \"./$folder/src/main.ts\";" > /chosen/main.js; exit 0; fi; \
  done; echo "there is no service $SERVICE" >&2; exit 1

FROM scratch
COPY --from=node /slim /
ENV PATH=/usr/local/bin NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=4 MALLOC_ARENA_MAX=2 \
  UNDERSTUDY_DATA_DIR=/var/lib/understudy UNDERSTUDY_PROBES_LISTEN=0.0.0.0:9100
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=dependencies /app/sbom.cdx.json .
COPY . .
COPY --from=chosen /chosen/main.js .
ARG SERVICE
LABEL org.opencontainers.image.title="understudy $SERVICE" org.opencontainers.image.licenses=Apache-2.0
USER 1000:1000
EXPOSE 9100
# Ready under a configuration; /livez is what an orchestrator that restarts should ask.
HEALTHCHECK --interval=5s --timeout=10s --start-period=60s --retries=5 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9100/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "main.js"]
