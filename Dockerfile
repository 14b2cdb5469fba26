# One image for both roles: `docker run shoal coordinator`, `docker run shoal worker`. See docs/DEPLOY.md.

# The digest decides what the engine takes; the tag says what that is.
ARG NODE_IMAGE=node:22.23.1-bookworm-slim@sha256:6c74791e557ce11fc957704f6d4fe134a7bc8d6f5ca4403205b2966bd488f6b3

FROM ${NODE_IMAGE} AS packages
WORKDIR /opt/shoal
COPY package.json package-lock.json .npmrc ./
# `cuda12` also downloads the files of ONNX Runtime's CUDA provider.
ARG ONNXRUNTIME_NODE_INSTALL=skip
RUN npm ci

FROM packages AS build
COPY tsconfig.json tsconfig.build.json ./
COPY src src
COPY workers workers
COPY coordinator coordinator
COPY cli cli
COPY bench bench
COPY console console
RUN npm run build && find dist \( -name '*.d.ts' -o -name '*.map' \) -delete
COPY LICENSE ./
COPY models models
COPY deploy deploy
# The files must be readable for every user, even if the repository was cloned with a strict umask.
RUN chmod -R a+rX LICENSE package.json models deploy

FROM packages AS production
# Remove files for other platforms, sources, declarations and documentation.
RUN npm prune --omit=dev \
 && cd node_modules \
 && find onnxruntime-node/bin -mindepth 2 -maxdepth 2 -not -name linux -exec rm -rf {} + \
 && find onnxruntime-node/bin -mindepth 3 -maxdepth 3 -not -name "$(node -p process.arch)" -exec rm -rf {} + \
 && rm -rf onnxruntime-node/bin/*/linux/*/*_tensorrt.so koffi/vendor koffi/doc @koromix/koffi-*/musl_* zod/src \
 && find . -type d \( -name test -o -name tests -o -name docs -o -name 'example*' -o -name 'benchmark*' \) -prune -exec rm -rf {} + \
 && find . -type f \( -name '*.[cm]ts' -o -name '*.ts' -o -name '*.map' -o -name '*.cc' -o -name '*.hh' -o -iname '*.md' \) \
    -not -iname 'licen*' -delete

FROM ${NODE_IMAGE}
# Debian packages that a GPU needs, such as libvulkan1.
ARG PACKAGES=
RUN test -z "$PACKAGES" || { apt-get update && apt-get install -y --no-install-recommends $PACKAGES && rm -rf /var/lib/apt/lists/*; }
WORKDIR /opt/shoal
# A volume takes the owner of its mount point at its first mount. These folders therefore belong to the user of the image.
RUN install -d -o node -g node -m 0750 /run/shoal /var/lib/nats \
    /run/fleet/kept /run/fleet/nats /run/fleet/coordinator /run/fleet/worker /run/fleet/prometheus /run/fleet/grafana
COPY --from=production /opt/shoal/node_modules node_modules
COPY --from=build /opt/shoal/LICENSE /opt/shoal/package.json ./
COPY --from=build /opt/shoal/models models
COPY --from=build /opt/shoal/deploy deploy
COPY --from=build /opt/shoal/dist dist

# Both roles answer /metrics and /health on 8080; workers talk to each other on 7400.
ENV NODE_ENV=production \
    SHOAL_HOST=0.0.0.0 \
    SHOAL_PORT=8080 \
    SHOAL_METRICS_HOST=0.0.0.0 \
    SHOAL_METRICS_PORT=8080 \
    SHOAL_PEER_HOST=0.0.0.0 \
    SHOAL_PEER_PORT=7400
EXPOSE 8080 7400

USER node
ENTRYPOINT ["node", "/opt/shoal/dist/cli/main.js"]
CMD ["--help"]
HEALTHCHECK --interval=5s --timeout=5s --start-period=60s --retries=3 CMD ["node", "/opt/shoal/dist/cli/main.js", "health"]
