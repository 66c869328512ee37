# One image for each part of Understudy: docker build --build-arg SERVICE=replicator .
# SERVICE is collector, predictor, balancer, replicator, health, cli, or the example service: catalog.
# The layers of all of them are the same but for the last one. Behind a proxy: --network host.
ARG NODE_IMAGE=node:24-bookworm-slim

FROM ${NODE_IMAGE} AS manifests
WORKDIR /app
COPY . .
# What npm looks at, and nothing else: a changed source does not install everything anew.
RUN find . -type f ! -name package.json ! -name package-lock.json -exec rm -f {} +

FROM ${NODE_IMAGE} AS dependencies
WORKDIR /app
COPY --from=manifests /app .
# Another registry than the public one, where that is not to be reached.
ARG NPM_CONFIG_REGISTRY
RUN npm ci --omit=dev --omit=optional --ignore-scripts --no-audit --no-fund --loglevel=error \
  && find node_modules -type f \( -name '*.map' -o -name '*.md' -o -name '*.d.ts' -o -name '*.d.mts' -o -name '*.d.cts' \) -exec rm -f {} +

# What runs needs no npm, no headers and no manuals.
FROM ${NODE_IMAGE} AS base
RUN rm -rf /usr/local/lib/node_modules /usr/local/include /usr/local/share /usr/local/bin/npm /usr/local/bin/npx \
  /usr/local/bin/corepack /usr/local/bin/yarn* /opt/yarn* /usr/share/doc /usr/share/man /usr/share/locale \
  /var/lib/apt /var/cache /root/.npm \
  && mkdir -p /app /var/lib/understudy && chown 1000:1000 /var/lib/understudy

FROM scratch AS runtime
COPY --from=base / /
ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin \
  NODE_ENV=production NODE_OPTIONS=--max-semi-space-size=4 MALLOC_ARENA_MAX=2
WORKDIR /app
COPY --from=dependencies /app/node_modules node_modules
COPY . .

FROM runtime
ARG SERVICE
RUN test -n "$SERVICE" || { echo "say which: --build-arg SERVICE=replicator" >&2; exit 1; }; \
  for folder in services/$SERVICE examples/$SERVICE $SERVICE; do \
    if [ -f $folder/src/main.ts ]; then ln -s $folder/src/main.ts main.ts; exit 0; fi; \
  done; echo "there is no service $SERVICE" >&2; exit 1
LABEL org.opencontainers.image.title="understudy $SERVICE" org.opencontainers.image.licenses=Apache-2.0
ENV UNDERSTUDY_DATA_DIR=/var/lib/understudy UNDERSTUDY_PROBES_LISTEN=0.0.0.0:9100
USER 1000:1000
EXPOSE 9100
# Ready under a configuration; /livez is what an orchestrator that restarts should ask.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9100/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["node", "main.ts"]
