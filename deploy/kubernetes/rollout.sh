#!/bin/sh
# Moves requests from one release of the chart to another, and moves them back if the new one is worse.
#
#   deploy/kubernetes/rollout.sh canary OLD NEW     # 5, 25, 50, 100 %, with a pause after each step
#   deploy/kubernetes/rollout.sh switch OLD NEW     # blue-green: 100 % at once, then one pause
#   deploy/kubernetes/rollout.sh back OLD NEW       # everything to OLD, at once
#
# OLD and NEW are Services, the backends of the HTTPRoute (route.yaml). Each is a fleet of its own, so that they may have different models and
# versions. The new one starts without blocks; its hit rate is compared from a quarter of the requests on.
#
# Variables: NAMESPACE (shoal), ROUTE (shoal), PROMETHEUS (http://127.0.0.1:9090), STEPS ("5 25 50 100"), PAUSE_S (300), WINDOW (5m),
# MAX_ERROR_RATE (0.01 of the requests), MAX_TTFT_RATIO (1.25 of the old 95th percentile), MIN_HIT_RATIO (0.5 of the old hit rate).
set -eu

usage() {
  sed -n '2,14s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
[ $# = 3 ] || usage
mode=$1 old=$2 new=$3
: "${NAMESPACE:=shoal}" "${ROUTE:=shoal}" "${PROMETHEUS:=http://127.0.0.1:9090}" "${STEPS:=5 25 50 100}" "${PAUSE_S:=300}" "${WINDOW:=5m}"
: "${MAX_ERROR_RATE:=0.01}" "${MAX_TTFT_RATIO:=1.25}" "${MIN_HIT_RATIO:=0.5}"

kube() {
  kubectl --namespace "$NAMESPACE" "$@"
}

# $1: share of the requests, in per cent, that NEW gets.
give() {
  names=$(kube get httproute "$ROUTE" -o 'jsonpath={.spec.rules[0].backendRefs[*].name}')
  patch=''
  index=0
  found=0
  for name in $names; do
    case $name in
      "$old") weight=$((100 - $1)) found=$((found + 1)) ;;
      "$new") weight=$1 found=$((found + 1)) ;;
      *) weight=0 ;;
    esac
    patch="$patch${patch:+,}{\"op\":\"add\",\"path\":\"/spec/rules/0/backendRefs/$index/weight\",\"value\":$weight}"
    index=$((index + 1))
  done
  if [ "$found" != 2 ]; then
    echo "cannot shift requests: the HTTPRoute $ROUTE has the backends \"$names\"; it must have $old and $new" >&2
    exit 1
  fi
  kube patch httproute "$ROUTE" --type json --patch "[$patch]" >/dev/null
  echo "$new gets $1 % of the requests"
}

# The value of a query, or nothing if there is none. Fails if Prometheus does not answer.
ask() {
  answer=$(curl -fsS --max-time 20 --data-urlencode "query=$1" "$PROMETHEUS/api/v1/query") || return 1
  printf '%s' "$answer" | sed -n 's/.*"value":\[[^,]*,"\([^"]*\)".*/\1/p'
}

# $1: Service. The share of its requests that failed by a fault of the fleet.
error_rate() {
  ask "sum(rate(shoal_requests_total{role=\"coordinator\",service=\"$1\",status=~\"5..\"}[$WINDOW])) / sum(rate(shoal_requests_total{role=\"coordinator\",service=\"$1\"}[$WINDOW])) or vector(0)"
}

first_token() {
  ask "histogram_quantile(0.95, sum by (le) (rate(shoal_time_to_first_token_seconds_bucket{role=\"coordinator\",service=\"$1\"}[$WINDOW])))"
}

hit_rate() {
  ask "1 - sum(rate(shoal_prompt_tokens_total{role=\"coordinator\",service=\"$1\",source=\"computed\"}[$WINDOW])) / sum(rate(shoal_prompt_tokens_total{role=\"coordinator\",service=\"$1\"}[$WINDOW]))"
}

# Whether $1 <= $2 x $3. What is not a number, as for a Service without requests, passes.
at_most() {
  awk -v a="$1" -v b="$2" -v c="$3" 'BEGIN { n = "^[0-9.eE+-]+$"; exit a ~ n && b ~ n && a > b * c }'
}

# $1: share of the requests that NEW has. Says what is worse, if anything is.
worse() {
  errors=$(error_rate "$new") || { echo "Prometheus at $PROMETHEUS does not answer"; return; }
  at_most "$errors" "$MAX_ERROR_RATE" 1 || { echo "$errors of its requests fail (at most $MAX_ERROR_RATE)"; return; }
  ttft=$(first_token "$new") was=$(first_token "$old")
  at_most "$ttft" "$was" "$MAX_TTFT_RATIO" || { echo "its first token takes $ttft s (95th percentile; $was s in $old)"; return; }
  [ "$1" -ge 25 ] || return 0
  hits=$(hit_rate "$new") was=$(hit_rate "$old")
  at_most "$was" "$hits" "$(awk -v r="$MIN_HIT_RATIO" 'BEGIN { print 1 / r }')" || echo "its hit rate is $hits ($was in $old)"
}

step() {
  give "$1"
  sleep "$PAUSE_S"
  why=$(worse "$1")
  if [ -n "$why" ]; then
    give 0
    echo "went back to $old: of $new, $why" >&2
    exit 1
  fi
}

case $mode in
  back) give 0 ;;
  switch | canary)
    kube rollout status "deployment/$new-coordinator" --timeout 10m
    kube rollout status "statefulset/$new-worker" --timeout 30m
    trap 'give 0; exit 130' INT TERM
    if [ "$mode" = switch ]; then STEPS=100; fi
    for share in $STEPS; do step "$share"; done
    echo "$new serves; uninstall $old when you no longer want to go back"
    ;;
  *) usage ;;
esac
