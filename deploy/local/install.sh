#!/bin/sh
# Install what is missing of: venv, rabbitmq, redis, chromium, node, wrk (the arguments), on Debian
# and Ubuntu.
# A server that AMQP_URL or REDIS_URL names, in the environment or in .env, is not needed here,
# unless --private is the first argument: tests never use one that is somebody else's.
set -eu
PYTHON=${PYTHON:-python3}
private=
[ "${1:-}" != --private ] || { private=yes && shift; }

given() {
    [ -z "$private" ] || return 1
    [ -n "$(printenv "$1" || true)" ] || grep -qs "^$1=." .env
}

present() {
    case $1 in
    venv) "$PYTHON" -c 'import ensurepip, venv' 2>/dev/null ;;
    rabbitmq) given AMQP_URL || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ;;
    redis) given REDIS_URL || command -v redis-server >/dev/null ;;
    chromium) command -v chromium || command -v chromium-browser || command -v google-chrome ;;
    node) command -v node && command -v npm ;;
    wrk) command -v wrk ;;
    esac >/dev/null
}

package() {
    case $1 in
    venv) "$PYTHON" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])' ;;
    rabbitmq) echo rabbitmq-server ;;
    redis) echo redis-server ;;
    node) echo nodejs npm ;;
    wrk) echo wrk ;;
    # Ubuntu has it under its older name.
    chromium) apt-cache show chromium >/dev/null 2>&1 && echo chromium || echo chromium-browser ;;
    esac
}

missing=
for need in "$@"; do
    present "$need" || missing="$missing $need"
done
[ -n "$missing" ] || exit 0

give_up() {
    cat >&2 <<END
Missing here:$missing. $1
Install it yourself, or set AMQP_URL and REDIS_URL to servers that run elsewhere,
or run everything in containers: docker compose --env-file .env -f deploy/compose.yaml up
END
    exit 1
}

command -v apt-get >/dev/null || give_up "There is no apt-get to install it with."
if [ "$(id -u)" -eq 0 ]; then
    as_root=env
elif command -v sudo >/dev/null; then
    as_root=sudo
    # Nobody is there to type a password.
    [ -t 0 ] || as_root="sudo -n"
    $as_root true || give_up "It takes root, and sudo refused."
else
    give_up "It takes root or sudo to install it."
fi

packages() {
    for need in $missing; do package "$need"; done
}

install() {
    # shellcheck disable=SC2046 # one word per package
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install --quiet --quiet --yes \
        --no-install-recommends $(packages) </dev/null
}

# The packages would start a broker and a store of their own: nobody asked for those.
policy=/usr/sbin/policy-rc.d
held=
if [ ! -e "$policy" ]; then
    held=yes
    trap '$as_root rm -f "$policy"' EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM HUP
    printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
    $as_root chmod 755 "$policy"
fi

echo "installing:$missing (apt)"
# The package lists are fetched only where they are absent or too old to install from.
install >/dev/null 2>&1 || { $as_root apt-get update --quiet --quiet && install; } ||
    give_up "apt-get could not install it."

# Nor at the next boot.
if [ -n "$held" ] && [ -d /run/systemd/system ]; then
    for need in $missing; do
        case $need in
        rabbitmq | redis) $as_root systemctl --quiet disable "$(package "$need")" || true ;;
        esac
    done
fi

for need in $missing; do
    present "$need" || give_up "apt-get ran, and still there is no $need."
done
