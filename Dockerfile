# PostgreSQL with osrm_matcher and pg_cron:   docker build --build-arg PG_MAJOR=15 -t osrm_matcher .
# What it does stands in scripts, which the tests run without an engine, too: tests/installs/run.py image

ARG PG_MAJOR=15
ARG DEBIAN=bookworm

# --- builds the extension against the very server that will load it
FROM postgres:${PG_MAJOR}-${DEBIAN} AS build
ARG PG_MAJOR
WORKDIR /build
COPY . ./
RUN PG=${PG_MAJOR} tests/setup/prepare.sh build

# --- the server, with nothing added but the extension and pg_cron; like its base it starts as root to own
#     its folder, and serves as postgres
FROM postgres:${PG_MAJOR}-${DEBIAN}
ARG PG_MAJOR
COPY --from=build /build/target/package/ /
COPY --from=build /build/tests/setup/image.sh /tmp/
RUN /tmp/image.sh "${PG_MAJOR}" && rm /tmp/image.sh

# pg_cron works from within the server; it needs no connection, so no line in pg_hba.conf either.
CMD ["postgres", "-c", "shared_preload_libraries=pg_cron", "-c", "cron.use_background_workers=on"]
