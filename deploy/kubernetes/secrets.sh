#!/bin/sh
# Prints the Secret of a fleet with fresh random values, for those who use no Helm:
#
#   deploy/kubernetes/secrets.sh | kubectl -n shoal create -f -
#
# `create` refuses to replace a Secret, whose values a running fleet still uses. $1 is its name; shoal by default.
set -eu
random() {
  head -c 32 /dev/urandom | od -An -vtx1 | tr -d ' \n'
}
cat <<END
apiVersion: v1
kind: Secret
metadata:
  name: ${1:-shoal}
  labels: { app.kubernetes.io/name: shoal, app.kubernetes.io/instance: ${1:-shoal} }
type: Opaque
stringData:
  secret: "$(random)"
  nats-coordinator-password: "$(random)"
  nats-worker-password: "$(random)"
  nats-node-password: "$(random)"
  api-keys: "$(random)"
  metrics-key: "$(random)"
END
