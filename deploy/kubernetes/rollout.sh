#!/bin/sh
# Moves requests from one release of the chart to another, and moves them back if the new one is worse.
#
#   deploy/kubernetes/rollout.sh canary OLD NEW     # 5, 25, 50, 100 %, with a pause after each step
#   deploy/kubernetes/rollout.sh switch OLD NEW     # blue-green: 100 % at once, then one pause
#   deploy/kubernetes/rollout.sh back OLD NEW       # everything to OLD, at once
#
# OLD and NEW are Services, the backends of the HTTPRoute (route.yaml). Each is a fleet of its own, so that they may have different models and
# versions. NEW starts without blocks; its hit rate is compared from a quarter of the requests on. At 100 % NEW is compared with the last figures
# of OLD before that step. Whatever cannot be measured counts against NEW, and whatever ends this script early gives all requests back to OLD.
#
# Variables: NAMESPACE (shoal), ROUTE (shoal), PROMETHEUS (http://127.0.0.1:9090), STEPS ("5 25 50 100"), PAUSE_S (300), CHECK_S (30: failed and
# refused requests are looked at that often within a pause), WINDOW (5m), MIN_REQUESTS (20 in a WINDOW; 0 judges a fleet without requests, too),
# MAX_ERROR_RATE (0.01 of the requests get 5xx), MAX_REFUSED_RISE (0.02 more of the requests get 4xx than in OLD), MAX_TTFT_RATIO (1.25 of the
# 95th percentile of OLD), MIN_HIT_RATIO (0.5 of the hit rate of OLD).
set -eu
export LC_ALL=C

usage() {
  sed -n '2,17s/^# \{0,1\}//p' "$0" >&2
  exit 2
}
[ $# = 3 ] || usage
mode=$1 old=$2 new=$3
: "${NAMESPACE:=shoal}" "${ROUTE:=shoal}" "${PROMETHEUS:=http://127.0.0.1:9090}" "${STEPS:=5 25 50 100}" "${PAUSE_S:=300}" "${CHECK_S:=30}"
: "${WINDOW:=5m}" "${MIN_REQUESTS:=20}" "${MAX_ERROR_RATE:=0.01}" "${MAX_REFUSED_RISE:=0.02}" "${MAX_TTFT_RATIO:=1.25}" "${MIN_HIT_RATIO:=0.5}"
: "${RETRY_S:=2}"

# $1: variable. $2: its value. $3: extended regular expression. $4: what is allowed.
check() {
  printf '%s\n' "$2" | grep -Eqx -e "$3" || { echo "$1: must be $4, got \"$2\"" >&2; exit 2; }
}

check_variables() {
  number='[0-9]+(\.[0-9]+)?|\.[0-9]+'
  check PAUSE_S "$PAUSE_S" '[0-9]{1,6}' 'a whole number of seconds'
  check CHECK_S "$CHECK_S" '[1-9][0-9]{0,5}' 'a whole number of seconds from 1 on'
  check WINDOW "$WINDOW" '[1-9][0-9]*[smh]' 'a time such as 5m'
  check MIN_REQUESTS "$MIN_REQUESTS" '[0-9]{1,9}' 'a whole number'
  check MAX_ERROR_RATE "$MAX_ERROR_RATE" "$number" 'a number'
  check MAX_REFUSED_RISE "$MAX_REFUSED_RISE" "$number" 'a number'
  check MAX_TTFT_RATIO "$MAX_TTFT_RATIO" "$number" 'a number'
  check MIN_HIT_RATIO "$MIN_HIT_RATIO" "$number" 'a number'
  before=0
  for share in $STEPS; do
    check STEPS "$share" '[1-9][0-9]?|100' 'rising whole numbers from 1 to 100'
    [ "$share" -gt "$before" ] || { echo "STEPS: must be rising whole numbers from 1 to 100, got \"$STEPS\"" >&2; exit 2; }
    before=$share
  done
  [ "$before" != 0 ] || { echo 'STEPS: must not be empty' >&2; exit 2; }
}

kube() {
  kubectl --namespace "$NAMESPACE" "$@"
}

# $1: share of the requests, in per cent, that NEW gets. Makes `patch` of the route that gives it.
prepare() {
  names=$(kube get httproute "$ROUTE" -o 'jsonpath={.spec.rules[0].backendRefs[*].name}') || return 1
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
  [ "$found" = 2 ] && return
  echo "cannot shift requests: the HTTPRoute $ROUTE has the backends \"$names\"; it must have $old and $new" >&2
  return 1
}

# $1 as above. Fails if the route does not take it.
give() {
  prepare "$1" && kube patch httproute "$ROUTE" --type json --patch "[$patch]" >/dev/null || return 1
  echo "$new gets $1 % of the requests" || true
}

# Gives everything back to OLD, with a few attempts: the API server may be away for a moment.
go_back() {
  for attempt in 1 2 3 4 5; do
    if give 0; then
      echo "went back to $old" >&2 || true
      return 0
    fi
    [ "$attempt" = 5 ] || sleep "$RETRY_S"
  done
  echo "cannot go back to $old: $new may still get requests; run: $0 back $old $new" >&2 || true
  return 1
}

# yes: NEW has requests that it has not shown to deserve.
moved=no

finish() {
  code=$?
  trap '' INT TERM HUP
  trap - EXIT
  [ -z "${sleeping:-}" ] || kill "$sleeping" 2>/dev/null || true
  [ "$moved" = no ] || go_back || true
  exit "$code"
}

# The sum that a query gives, or nothing if it gives none or not a number. Fails if Prometheus does not answer.
ask() {
  answer=$(curl -fsS --max-time 20 --data-urlencode "query=$1" "$PROMETHEUS/api/v1/query" 2>&1) || return 1
  case $answer in *'"status":"success"'*) ;; *) return 1 ;; esac
  printf '%s' "$answer" | sed -n 's/.*"value":\[[^,]*,"\([0-9.eE+-]*\)"\].*/\1/p'
}

# $1: Service. $2: further labels.
requests() {
  echo "shoal_requests_total{role=\"coordinator\",service=\"$1\"${2:+,$2}}[$WINDOW]"
}

# $1: Service. $2: pattern of statuses. Their share of its requests.
share_of() {
  ask "(sum(rate($(requests "$1" "status=~\"$2\""))) or vector(0)) / sum(rate($(requests "$1")))"
}

# $1: Service.
first_token() {
  ask "histogram_quantile(0.95, sum by (le) (rate(shoal_time_to_first_token_seconds_bucket{role=\"coordinator\",service=\"$1\"}[$WINDOW])))"
}

# $1: Service.
hit_rate() {
  tokens="shoal_prompt_tokens_total{role=\"coordinator\",service=\"$1\""
  ask "1 - sum(rate($tokens,source=\"computed\"}[$WINDOW])) / sum(rate($tokens}[$WINDOW]))"
}

# Whether a comparison of the numbers a, b and c holds: holds 'a <= b * c' 1 2 3. No value counts as 0.
holds() {
  awk -v a="${2:-0}" -v b="${3:-0}" -v c="${4:-0}" "BEGIN { exit !($1) }"
}

# The figures of OLD. Those of before stay where it has none.
old_refused='' old_ttft='' old_hits=''
measure_old() {
  now=$(share_of "$old" '4..') || return 1
  old_refused=${now:-$old_refused}
  now=$(first_token "$old") || return 1
  old_ttft=${now:-$old_ttft}
  now=$(hit_rate "$old") || return 1
  old_hits=${now:-$old_hits}
}

# The functions below print what speaks against a fleet, and nothing if nothing does.
silent="Prometheus at $PROMETHEUS does not answer"

# $1: Service. Its coordinators leave the Service, and count nothing, while they have no worker.
alive() {
  workers=$(ask "max(shoal_fleet_workers{role=\"coordinator\",service=\"$1\",state=\"serving\"})") || { echo "$silent"; return; }
  if [ -z "$workers" ]; then
    echo "no coordinator is seen by Prometheus (the chart needs metrics.serviceMonitor.enabled)"
  elif holds 'a < 1' "$workers"; then
    echo "no worker serves"
  fi
}

# $1: Service.
enough() {
  count=$(ask "sum(increase($(requests "$1")))") || { echo "$silent"; return; }
  holds 'a >= b' "$count" "$MIN_REQUESTS" ||
    echo "only ${count:-0} requests were measured in $WINDOW (MIN_REQUESTS=$MIN_REQUESTS); does the route reach it? With few clients set PAUSE_S and WINDOW to more"
}

# $1: share of requests that is too little to tell.
answers() {
  errors=$(share_of "$new" '5..') || { echo "$silent"; return; }
  holds 'a <= b + c' "$errors" "$MAX_ERROR_RATE" "$1" || { echo "$errors of its requests fail (at most $MAX_ERROR_RATE)"; return; }
  refused=$(share_of "$new" '4..') || { echo "$silent"; return; }
  holds 'a <= b + c' "$refused" "$old_refused" "$(awk -v a="$MAX_REFUSED_RISE" -v b="$1" 'BEGIN { print a + b }')" ||
    echo "$refused of its requests get 4xx (${old_refused:-0} in $old); compare the API keys, coordinator.allowedHosts and the model's name of both"
}

# $1: share of the requests that NEW has.
speed() {
  count=$(ask "sum(increase($(requests "$new")))") || { echo "$silent"; return; }
  # Without a single request there is no speed.
  holds 'a > 0' "$count" || return 0
  ttft=$(first_token "$new") || { echo "$silent"; return; }
  if [ -n "$old_ttft" ]; then
    [ -n "$ttft" ] || { echo "no first token of it was measured ($old_ttft s in $old)"; return; }
    holds 'a <= b * c' "$ttft" "$old_ttft" "$MAX_TTFT_RATIO" || { echo "its first token takes $ttft s (95th percentile; $old_ttft s in $old)"; return; }
  fi
  [ "$1" -ge 25 ] || return 0
  hits=$(hit_rate "$new") || { echo "$silent"; return; }
  if [ -n "$old_hits" ]; then
    [ -n "$hits" ] || { echo "no hit rate of it was measured ($old_hits in $old)"; return; }
    holds 'a >= b * c' "$hits" "$old_hits" "$MIN_HIT_RATIO" || echo "its hit rate is $hits ($old_hits in $old)"
  fi
}

# $1: share. What speaks against NEW at the end of a pause.
worse() {
  why=$(alive "$new")
  [ -n "$why" ] || why=$(enough "$new")
  [ -n "$why" ] || why=$(answers 0)
  [ -n "$why" ] || why=$(speed "$1")
  printf '%s' "$why"
}

# What speaks so much against NEW that the end of the pause need not be waited for.
much_worse() {
  [ -n "$(enough "$new")" ] || answers 0.25
}

fail() {
  echo "$new does not pass: $1" >&2
  exit 1
}

# $1: share.
step() {
  moved=yes
  give "$1" || fail "the route does not take $1 %"
  left=$PAUSE_S
  while [ "$left" -gt 0 ]; do
    part=$((left < CHECK_S ? left : CHECK_S))
    # In the background, so that a signal does not wait for its end.
    sleep "$part" &
    sleeping=$!
    wait "$sleeping"
    sleeping=
    left=$((left - part))
    why=$(much_worse)
    case $why in '' | "$silent") ;; *) fail "$why" ;; esac
  done
  # At 100 % OLD has no figures of this time.
  if [ "$1" -lt 100 ]; then measure_old || fail "$silent"; fi
  why=$(worse "$1")
  [ -z "$why" ] || fail "$why"
}

roll_out() {
  prepare 0
  kube rollout status "deployment/$new-coordinator" --timeout 10m
  kube rollout status "statefulset/$new-worker" --timeout 30m
  why=$(alive "$old")
  [ -n "$why" ] || why=$(enough "$old")
  [ -n "$why" ] || measure_old || why=$silent
  if [ -n "$why" ]; then
    echo "nothing was moved, as $new cannot be compared with $old: of $old, $why" >&2
    exit 1
  fi
  # A reader of the output that is gone must not end the script between two steps.
  trap '' PIPE
  trap finish EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  trap 'exit 129' HUP
  for share in $STEPS; do step "$share"; done
  moved=no
  if [ "$share" = 100 ]; then
    echo "$new serves; uninstall $old when you no longer want to go back"
  else
    echo "$new keeps $share % of the requests"
  fi
}

case $mode in
  back) go_back ;;
  switch | canary)
    if [ "$mode" = switch ]; then STEPS=100; fi
    check_variables
    roll_out
    ;;
  *) usage ;;
esac
