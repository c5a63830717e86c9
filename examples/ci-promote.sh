#!/bin/sh
# Publish a folder to test, then promote exactly that release to main.
#
#   URL=https://relevo.example.org TOKEN=rlv_... SITE=web DIR=public sh ci-promote.sh
#
# URL     where the API is
# TOKEN   an API token with the preset `deploy`; it never appears in the list of processes
# SITE    the slug of the site
# DIR     the folder that was built
# COMMIT  the commit it was built from; the CI's own variable when left out
# PATIENCE  the seconds that unpacking a large site may take; 900 when left out
# KEY     tells one attempt from the next, so that a repeated call counts once; the CI's own
#         run and attempt when left out
#
# Needs sh, tar and curl 7.76 or newer. A refusal prints the problem and exits with 1; what was
# promoted before stays as it was.
set -eu

: "${URL:?where the API is, such as https://relevo.example.org}"
: "${TOKEN:?an API token with the preset deploy}"
: "${SITE:?the slug of the site}"
: "${DIR:?the folder to publish}"
URL=${URL%/}
COMMIT=${COMMIT:-${GITHUB_SHA:-${CI_COMMIT_SHA:-}}}
PATIENCE=${PATIENCE:-900}
KEY=${KEY:-${GITHUB_RUN_ID:-${CI_JOB_ID:-$(date +%s)-$$}}-${GITHUB_RUN_ATTEMPT:-1}}

# The token goes by standard input: arguments are open to every user of the machine.
rc() {
    printf 'header = "Authorization: Bearer %s"\n' "$TOKEN" |
        curl -sS --fail-with-body --config - "$@"
}

fail() {
    printf 'ci-promote: %s\n' "$1" >&2
    exit 1
}

# The value of a member that occurs once: field NAME PATTERN < document
field() {
    tr -d '\n' | sed -n "s/.*\"$1\": *\"\{0,1\}\($2\).*/\1/p"
}

archive=$(mktemp)
trap 'rm -f "$archive"' EXIT
trap 'exit 1' HUP INT TERM
# macOS would add files of its own.
COPYFILE_DISABLE=1 tar -czf "$archive" -C "$DIR" .

upload="$URL/api/v1/sites/$SITE/releases?wait=50"
answer=$(rc -X POST -T "$archive" -H "Idempotency-Key: $KEY-upload" \
    "$upload${COMMIT:+&commit=$COMMIT}") || fail "the upload failed. $answer"
release=$(printf '%s' "$answer" | field number '[0-9][0-9]*')
[ -n "$release" ] || fail "the answer names no release: $answer"

# A large site is unpacked by a job: 202, and the release is `processing` until that has ended.
waited=0
while [ "$(printf '%s' "$answer" | field state '[a-z]*')" = processing ]; do
    [ "$waited" -lt "$PATIENCE" ] || fail "release $release is still being unpacked. $answer"
    sleep 2
    waited=$((waited + 2))
    answer=$(rc "$URL/api/v1/sites/$SITE/releases/$release") || fail "$answer"
done
if [ "$(printf '%s' "$answer" | field state '[a-z]*')" = failed ]; then
    job=$(printf '%s' "$answer" | field job '[A-Za-z0-9]*')
    fail "the upload was refused. $(rc "$URL/api/v1/jobs/$job")"
fi
printf 'release %s is uploaded\n' "$release"

answer=$(rc -X POST -H 'Content-Type: application/json' -H "Idempotency-Key: $KEY-promote" \
    -d "{\"to\": \"main\", \"release\": $release}" \
    "$URL/api/v1/sites/$SITE/promotions?wait=50") || fail "release $release was not promoted. $answer"
printf 'main shows it: %s\n' "$(printf '%s' "$answer" | field url '[^"]*')"
