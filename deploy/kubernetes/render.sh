#!/bin/sh
# Renders the chart with its default values into fleet.yaml, for those who use no Helm. Needs helm 3.
#
#   deploy/kubernetes/render.sh                   # writes fleet.yaml beside this script
#   deploy/kubernetes/render.sh --set worker.replicas=5 >mine.yaml
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
render() {
  helm template shoal "$here/../helm/shoal" --namespace shoal --kube-version 1.27 --set secrets.existing=shoal "$@"
}
if [ $# -gt 0 ]; then
  render "$@"
  exit
fi
{
  echo "# Rendered from deploy/helm/shoal by deploy/kubernetes/render.sh. The Secret shoal comes from deploy/kubernetes/secrets.sh."
  render
} >"$here/fleet.yaml"
