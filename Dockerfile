# syntax=docker/dockerfile:1
# The server, or an agent (`docker run ... agent --config /etc/dbward-agent/agent.toml`). docs/releasing.md has the
# commands that build and run it.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --release && strip target/release/dbward

# Holds a C library and a shell for the health check, and nothing of ours but the program.
FROM debian:bookworm-slim
COPY --from=build --chmod=0755 /src/target/release/dbward /usr/bin/dbward
# Made here, so that a volume mounted there belongs to the user who runs the program.
RUN groupadd --system --gid 65532 dbward \
    && useradd --system --uid 65532 --gid dbward --home-dir /var/lib/dbward --shell /usr/sbin/nologin dbward \
    && install -d -m 0700 -o dbward -g dbward /var/lib/dbward /var/lib/dbward-agent
USER 65532:65532
WORKDIR /var/lib/dbward
VOLUME ["/var/lib/dbward"]
EXPOSE 3000
STOPSIGNAL SIGTERM
# Of a server that speaks plain HTTP on port 3000, behind a proxy. Anything else is started with a --health-cmd of its own.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["/bin/bash", "-c", \
    "exec 3<>/dev/tcp/127.0.0.1/3000 && printf 'GET /ready HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: close\\r\\n\\r\\n' >&3 && read -r answer <&3 && [[ $answer == 'HTTP/1.1 200 '* ]]"]
ENTRYPOINT ["/usr/bin/dbward"]
CMD ["serve", "--config", "/etc/dbward/server.toml"]
