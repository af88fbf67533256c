# The gateway as an image: `docker build -t openclaw-gateway .`

FROM node:20-bookworm-slim AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --no-audit --no-fund
COPY . .
RUN npm run --silent build && npm prune --omit=dev

FROM node:20-bookworm-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=build /app/package.json /app/LICENSE ./
COPY --from=build /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY --from=build /app/config ./config
COPY --from=build /app/devices-sim/profiles ./devices-sim/profiles
RUN ln -s /app/dist/broker/app/main.js /usr/local/bin/openclaw && chmod +x dist/broker/app/main.js \
  && mkdir /data && chown node:node /data
USER node
VOLUME /data
EXPOSE 1883 8080 9090
# Liveness; whether it takes clients is on /readyz, for whoever sends it clients.
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD ["node", "-e", "fetch('http://127.0.0.1:9090/healthz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
# No shell around it: SIGTERM reaches the gateway, which drains.
ENTRYPOINT ["node", "/app/dist/broker/app/main.js"]
CMD ["start", "--config", "config/examples/container.yaml"]
