# docker build -t des .        (docs/running.md, "In a container")
# The base is pinned by the digest of its image for all platforms, so that each build has the same one. For a newer one:
#   docker buildx imagetools inspect node:22-bookworm-slim
ARG BASE=node:22.23.3-bookworm-slim@sha256:43ac6c60b8f89723f746e8a92ce91abd5017e627ce1ddfe4238355d3a30b772c

FROM ${BASE} AS build
WORKDIR /src
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build:bin && npm prune --omit=dev --omit=peer --ignore-scripts --no-audit --no-fund

FROM ${BASE}
LABEL org.opencontainers.image.title="des" \
      org.opencontainers.image.description="Run scripts in response to Docker and podman events" \
      org.opencontainers.image.licenses="MIT"
COPY --from=build /src/package.json /src/LICENSE /usr/lib/docker-event-scripts/
COPY --from=build /src/dist /usr/lib/docker-event-scripts/dist
COPY --from=build /src/node_modules /usr/lib/docker-event-scripts/node_modules
RUN ln -s ../lib/docker-event-scripts/dist/bin.js /usr/bin/des && chmod 755 /usr/lib/docker-event-scripts/dist/bin.js \
 && mkdir -p /etc/docker/events.d /var/lib/des && chown 65532:65532 /var/lib/des && chmod 700 /var/lib/des
# Not root. The socket's group lets it watch: --group-add "$(stat -c %g /var/run/docker.sock)"
USER 65532:65532
ENV DES_STATE_DIR=/var/lib/des
VOLUME /var/lib/des
# des answers over a socket beside the journal.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["des", "status"]
# As the first process des reaps orphans itself, so there is no init.
ENTRYPOINT ["des"]
