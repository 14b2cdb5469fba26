#!/bin/sh
# Prints the configuration of a fleet's nats-server: JetStream in /var/lib/nats, and a user for each role, whose passwords are in
# SHOAL_NATS_COORDINATOR_PASSWORD and SHOAL_NATS_WORKER_PASSWORD.
set -eu
shoal="$(cd "$(dirname "$0")/.." && pwd)/dist/cli/main.js"

# The text as a JSON string, which the configuration of nats-server accepts.
quoted() {
  TEXT="$1" node -p 'JSON.stringify(process.env.TEXT)'
}

echo "SHOAL_NATS_COORDINATOR_PASSWORD: $(quoted "$SHOAL_NATS_COORDINATOR_PASSWORD")"
echo "SHOAL_NATS_WORKER_PASSWORD: $(quoted "$SHOAL_NATS_WORKER_PASSWORD")"
cat <<END
port: 4222
jetstream {
  store_dir: /var/lib/nats
  max_memory_store: 64MB
  max_file_store: 512MB
}
END
exec node "$shoal" nats-users --namespace "${SHOAL_NAMESPACE:-shoal}"
