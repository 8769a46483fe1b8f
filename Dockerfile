# One image, one binary. Build: docker build -t mango-chat .
#
# Run it with the demo users, reachable from this machine only:
#   docker run --rm -p 127.0.0.1:5000:5000 -e MANGO_ENV=local mango-chat
# Run it for real (the secret signs tokens and has to stay the same):
#   docker run -d -p 5000:5000 -v mango-data:/data -e JWT_SECRET=… -e PUBLIC_URL=https://… mango-chat

FROM rust:1.95-bookworm AS builder
WORKDIR /src
# The dependencies alone, over empty sources: this layer stays as it is until a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY entity/Cargo.toml entity/
COPY migration/Cargo.toml migration/
COPY import/Cargo.toml import/
COPY bench/Cargo.toml bench/
COPY tests/harness/Cargo.toml tests/harness/
RUN mkdir -p src entity/src migration/src import/src bench/src tests/it tests/harness/src \
    && echo 'fn main() {}' > bench/src/main.rs \
    && touch src/lib.rs entity/src/lib.rs migration/src/lib.rs import/src/lib.rs tests/it/main.rs tests/harness/src/lib.rs \
    && echo 'fn main() {}' > src/main.rs \
    && cargo build --profile dist --locked --bin mango-chat
# The product. Cargo goes by the time of a file, and what is copied may be older than the layer above: hence `touch`.
COPY assets assets
COPY entity entity
COPY migration migration
COPY import import
COPY src src
RUN touch src/lib.rs src/main.rs entity/src/lib.rs migration/src/lib.rs import/src/lib.rs \
    && cargo build --profile dist --locked --bin mango-chat

FROM debian:bookworm-slim
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --user-group --home-dir /data --shell /usr/sbin/nologin mango \
    && install --directory --owner mango --group mango --mode 0700 /data
COPY --from=builder /src/target/dist/mango-chat /usr/local/bin/mango-chat

# `prod` refuses to start without a JWT_SECRET.
ENV MANGO_ENV=prod \
    BIND=0.0.0.0:5000 \
    DATA_DIR=/data \
    LOG_DIR=/data/logs

USER mango
# Settings files (.env) are read from the folder that the server is started in.
WORKDIR /data
VOLUME /data
EXPOSE 5000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=6s --start-period=30s --retries=3 CMD ["mango-chat", "healthcheck"]
ENTRYPOINT ["mango-chat"]
CMD ["serve"]
