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

# What is in the image, for whoever has to know: npm's packages, Node and the libraries above.
FROM ${NODE_IMAGE} AS listed
COPY --from=node /slim /slim
COPY --from=dependencies /app/sbom.cdx.json npm.json
COPY cli/src/compose/sbom.ts .
RUN node sbom.ts npm.json /slim > /sbom.cdx.json

FROM ${NODE_IMAGE} AS chosen
ARG SERVICE
COPY . /app
RUN set -e; cd /app; mkdir /chosen; test -n "$SERVICE" || { echo "say which: --build-arg SERVICE=replicator" >&2; exit 1; }; \
  for folder in services/$SERVICE examples/$SERVICE $SERVICE; do \
    if [ -f $folder/src/main.ts ]; then echo "import \"./$folder/src/main.ts\";" > /chosen/main.js; exit 0; fi; \
  done; echo "there is no service $SERVICE" >&2; exit 1

# What Node makes of the sources (types stripped, code compiled), once and not at each start: half of what a start takes. Programs are
# begun without any setting, so they load what they need and end. Node keeps what it compiled by user: root begins the replicator
# of the compose cluster, and Kubernetes has a user of its own.
FROM ${NODE_IMAGE} AS compiled
ENV NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=4 NODE_COMPILE_CACHE=/compiled
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY . .
COPY --from=chosen /chosen/main.js .
RUN mkdir /compiled && chown 1000:1000 /compiled
USER 1000:1000
ARG SERVICE
RUN begin() { timeout 60 node "$@" > /dev/null 2>&1 || true; }; \
  begin main.js; \
  begin packages/service/src/ask-ready.ts; \
  begin --input-type=module -e 'for (const later of ["@understudy/service/telemetry", "@understudy/bus/jetstream", "grpc-health-check"]) await import(later)'; \
  if [ "$SERVICE" = cli ]; then begin main.js status; begin cli/src/compose/setup.ts; begin cli/src/compose/begin.ts; fi; \
  if [ "$SERVICE" = replicator ]; then begin cli/src/compose/with-socket-group.ts; fi; \
  for own in /compiled/*-1000; do for user in 0 10001; do ln -s "${own##*/}" "${own%-1000}-$user"; done; done
# For everybody to read and nobody to change.
USER 0:0
RUN chown -R 0:0 /compiled && chmod -R a+rX /compiled

FROM scratch
COPY --from=node /slim /
ENV PATH=/usr/local/bin NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=4 MALLOC_ARENA_MAX=2 \
  NODE_COMPILE_CACHE=/app/compiled UNDERSTUDY_DATA_DIR=/var/lib/understudy UNDERSTUDY_PROBES_LISTEN=0.0.0.0:9100
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY --from=listed /sbom.cdx.json .
COPY . .
COPY --from=chosen /chosen/main.js .
COPY --from=compiled /compiled compiled
ARG SERVICE
LABEL org.opencontainers.image.title="understudy $SERVICE" org.opencontainers.image.licenses=Apache-2.0 \
  dev.understudy.sbom=/app/sbom.cdx.json
USER 1000:1000
EXPOSE 9100
# Ready under a configuration; /livez is what an orchestrator that restarts should ask.
HEALTHCHECK --interval=3s --timeout=10s --start-period=60s --retries=5 CMD ["node", "packages/service/src/ask-ready.ts"]
ENTRYPOINT ["node", "main.js"]
