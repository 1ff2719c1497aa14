#!/usr/bin/env bash
# What the image needs beside PostgreSQL and the files of the extension. usage: image.sh MAJOR
set -euo pipefail
apt-get update -qq
apt-get install -y -qq --no-install-recommends "postgresql-$1-cron"
rm -rf /var/lib/apt/lists/*
