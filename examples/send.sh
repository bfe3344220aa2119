#!/bin/sh
# Sends one signed webhook through Posthorn and waits until it is delivered. Needs curl and openssl.
#
#   sh examples/send.sh
#   URL=http://127.0.0.1:5077 RECEIVER=https://example.com/webhooks sh examples/send.sh
#
# URL        the URL of Posthorn
# RECEIVER   the URL that gets the webhook
# SECRET     the new subscription's secret; examples/receiver.ts has the same default
# BODY       the body of the webhook, any JSON
# ADMIN_KEY  the admin key, if Posthorn was started with POSTHORN_ADMIN_KEY
set -eu

URL=${URL:-http://127.0.0.1:5000}
RECEIVER=${RECEIVER:-http://127.0.0.1:9000/}
SECRET=${SECRET:-whsec_dHJ5LW91dC1vbmx5LW5vdC1hLXJlYWwtc2VjcmV0}
BODY=${BODY:-'{"type": "order.created", "data": {"id": 7, "total": 12.50}}'}
ADMIN_KEY=${ADMIN_KEY:-}
WAIT_SECONDS=30

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# call <expected status> <path> [options of curl]: puts the body of the answer into $answer.
call() {
  expected=$1
  path=$2
  shift 2
  if [ -n "$ADMIN_KEY" ]; then set -- -H "authorization: Bearer $ADMIN_KEY" "$@"; fi
  answer=$(curl -sS --max-time 30 -w '\n%{http_code}' "$@" "$URL$path") ||
    fail "No Posthorn answers at $URL. Start it with: npm run dev   (or set URL to where it runs)"
  status=${answer##*
}
  answer=${answer%
*}
  [ "$status" = "$expected" ] || fail "$path answered $status:" "$answer"
}

# field <name>: prints the first value of that name in $answer.
field() {
  printf '%s' "$answer" | sed -n 's/^[^}]*"'"$1"'":"\{0,1\}\([^",}]*\).*/\1/p'
}

echo "1. A subscription for $RECEIVER"
call 201 /subscriptions/createsubscription -H 'content-type: application/json' \
  --data-binary "{\"url\": \"$RECEIVER\", \"secret\": \"$SECRET\"}"
printf '   %s\n' "$answer"
subscription=$(field id)

echo "2. The signature: HMAC-SHA256 of the body's bytes, with the secret as the key"
signature=sha256=$(printf '%s' "$BODY" | openssl dgst -sha256 -hmac "$SECRET" | sed 's/^.* //')
echo "   $signature"

echo "3. The webhook"
call 202 "/ingest/$subscription" -H 'content-type: application/json' \
  -H "x-hub-signature-256: $signature" --data-binary "$BODY"
printf '   %s\n' "$answer"
webhook=$(field webhook_id)

echo "4. Its delivery: GET $URL/v1/webhooks/$webhook"
waited=0
while :; do
  call 200 "/v1/webhooks/$webhook"
  case $answer in
    *'"state":"succeeded"'*) break ;;
    *'"state":"failed"'* | *'"state":"cancelled"'*) fail "   The delivery ended without success:" "   $answer" ;;
  esac
  [ "$waited" -lt "$WAIT_SECONDS" ] ||
    fail "   Not delivered yet; Posthorn will try again. So far:" "   $answer"
  if [ "$waited" = 1 ]; then echo "   not delivered yet; is a receiver running at $RECEIVER? (npm run receiver)"; fi
  sleep 1
  waited=$((waited + 1))
done
printf '   %s\n' "$answer"
echo "Delivered."
