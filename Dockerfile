# One image for every role: `gantry namesrv|broker|operator|dev|bench|fsck …`.
#
# The final stage holds Node (stripped), the libraries that it loads, a shell for the `gantry` script, the sources and
# their production dependencies, and nothing else: no package manager, no root user needed, no file that a role writes.
FROM node:26-bookworm-slim AS build

RUN apt-get update \
 && apt-get install --yes --no-install-recommends binutils \
 && rm -rf /var/lib/apt/lists/*

# Here and in the final image, since the compile cache is keyed by path.
WORKDIR /opt/gantry
COPY package.json package-lock.json .npmrc ./
RUN npm ci --omit=dev --ignore-scripts --no-audit --no-fund

# What production does not read: sources in TypeScript and type declarations, source maps, documents, modules for another
# runtime (bare-*), what a library has in a second form, and doc comments and indentation of the generated Kubernetes
# client, which are most of it.
RUN set -eu; cd node_modules; \
    strip --strip-unneeded node-linux-*/bin/node; \
    find . -type f \( -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.map' -o -name '*.md' \
      -o -name '*.markdown' -o -name '*.flow' -o -name 'tsconfig*.json' \) -delete; \
    find . -type d \( -name test -o -name tests -o -name docs -o -name example -o -name examples -o -name benchmarks \
      -o -name benchmark -o -name .github \) -prune -exec rm -rf {} +; \
    rm -rf node-linux-*/include node-linux-*/share bare-* nodemailer/dist/cjs uplot/dist/uPlot.cjs.js uplot/dist/uPlot.iife* \
      yaml/browser js-yaml/dist/browser; \
    rm ../package-lock.json; \
    find @kubernetes/client-node/dist/gen -name '*.js' -exec sed -i -e '/^ *\/\*\*$/,/^ *\*\/$/d' -e 's/^ *//' {} +

COPY LICENSE gantry ./
COPY common common
COPY remoting remoting
COPY store store
COPY raft raft
COPY namesrv namesrv
COPY client client
COPY broker broker
COPY dashboard dashboard
COPY tools tools
COPY local local
COPY operator operator
COPY crds crds

# Each role is started once as the user that it will run as (the cache is kept by user id), so that a start compiles nothing.
RUN mkdir compile-cache && chown 10001:10001 compile-cache
ENV NODE_COMPILE_CACHE=/opt/gantry/compile-cache
USER 10001:10001
RUN for role in namesrv broker operator dev bench fsck hand-over; do ./gantry "$role" --help >/dev/null 2>&1 || true; done; \
    ./gantry --version
USER 0:0

# The root of the final image: the script's three commands, and the libraries of everything that is executable.
RUN set -eu; mkdir -p /image/bin /image/usr/local/bin /image/etc /image/opt /image/data /image/tmp /image/usr/share/doc; \
    cp /bin/dash /image/bin/sh; \
    cp /usr/bin/dirname /usr/bin/readlink /image/bin/; \
    for file in $(ldd node_modules/.bin/node /bin/dash /usr/bin/dirname /usr/bin/readlink | grep -o '/lib[^ ]*' | sort -u); do \
      mkdir -p "/image$(dirname "$file")"; cp -L "$file" "/image$file"; \
    done; \
    for package in libc6 libstdc++6 libgcc-s1 libatomic1 dash coreutils; do \
      if [ -d "/usr/share/doc/$package" ]; then cp -rL "/usr/share/doc/$package" /image/usr/share/doc/; fi; \
    done; \
    find /image/usr/share/doc -type f ! -name copyright -delete; \
    echo 'gantry:x:10001:10001:gantry:/data:/bin/sh' >/image/etc/passwd; \
    echo 'gantry:x:10001:' >/image/etc/group; \
    echo 'hosts: files dns' >/image/etc/nsswitch.conf; \
    cp -a /opt/gantry /image/opt/gantry; \
    ln -s /opt/gantry/gantry /image/usr/local/bin/gantry; \
    ln -s /opt/gantry/node_modules/.bin/node /image/usr/local/bin/node; \
    chmod 1777 /image/tmp; \
    chown 10001:10001 /image/data

FROM scratch
COPY --from=build /image/ /
LABEL org.opencontainers.image.title="Gantry" \
      org.opencontainers.image.description="RocketMQ for Kubernetes: operator, name server and broker" \
      org.opencontainers.image.licenses="Apache-2.0"
ENV PATH=/usr/local/bin:/bin \
    NODE_ENV=production \
    NODE_COMPILE_CACHE=/opt/gantry/compile-cache \
    HOME=/data
USER 10001:10001
WORKDIR /data
VOLUME /data
# 9876 name server, 10911 and 10909 broker, 40911 between the members of a group, 5557 admin port (probes and metrics)
EXPOSE 9876 10911 10909 40911 5557
# For engines without probes of their own; every role answers on its admin port.
HEALTHCHECK --interval=5s --timeout=3s --start-period=60s --retries=3 \
  CMD ["node", "-e", "fetch('http://127.0.0.1:5557/readyz').then((r) => process.exit(r.ok ? 0 : 1), () => process.exit(1))"]
ENTRYPOINT ["gantry"]
