# PostgreSQL with osrm_matcher and pg_cron:   docker build --build-arg PG_MAJOR=15 -t osrm_matcher .

ARG PG_MAJOR=15
ARG DEBIAN=bookworm

# --- builds the extension against the very server that will load it
FROM postgres:${PG_MAJOR}-${DEBIAN} AS build

RUN apt-get update \
    && apt-get install -y --no-install-recommends \
        build-essential ca-certificates libclang-dev pkg-config "postgresql-server-dev-${PG_MAJOR}" \
    && rm -rf /var/lib/apt/lists/*

COPY --from=rust:1.95-bookworm /usr/local/rustup /usr/local/rustup
COPY --from=rust:1.95-bookworm /usr/local/cargo /usr/local/cargo
ENV RUSTUP_HOME=/usr/local/rustup CARGO_HOME=/usr/local/cargo PATH=/usr/local/cargo/bin:${PATH}

# Cargo.toml names the version of cargo-pgrx. This layer is built anew only when that file changes.
COPY Cargo.toml /tmp/
RUN version=$(sed -nE 's/^pgrx = "=([0-9.]+)".*/\1/p' /tmp/Cargo.toml) \
    && cargo install --locked --version "=${version}" cargo-pgrx \
    && mkdir -p /root/.pgrx \
    && cargo pgrx init --no-run "--pg${PG_MAJOR}" "/usr/lib/postgresql/${PG_MAJOR}/bin/pg_config"

WORKDIR /build
COPY . ./
RUN cargo pgrx package --pg-config "/usr/lib/postgresql/${PG_MAJOR}/bin/pg_config" --out-dir /package

# --- the server, with nothing added but the extension and pg_cron
FROM postgres:${PG_MAJOR}-${DEBIAN}

RUN apt-get update \
    && apt-get install -y --no-install-recommends "postgresql-${PG_MAJOR}-cron" \
    && rm -rf /var/lib/apt/lists/*

COPY --from=build /package/ /

# pg_cron works from within the server; it needs no connection, so no line in pg_hba.conf either.
CMD ["postgres", "-c", "shared_preload_libraries=pg_cron", "-c", "cron.use_background_workers=on"]
