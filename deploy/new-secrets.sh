#!/bin/sh
# Make the passwords and tokens that docker-compose.yml asks for, in .env beside it; one that is there is left alone.
set -eu
umask 077
file="$(dirname "$0")/../.env"
secret() { head -c 24 /dev/urandom | od -An -v -tx1 | tr -d ' \n'; }
if [ -e "$file" ]; then
    echo "$file is there already: move it away to make new secrets." >&2
    exit 1
fi
cat > "$file.new" <<END
# Of docker-compose.yml. Whoever can read this can read and change all runs.
ROLLOUTWATCH_TRAINER_PASSWORD=$(secret)
ROLLOUTWATCH_SERVER_PASSWORD=$(secret)
# NAME:ROLE:TOKEN, divided by commas
ROLLOUTWATCH_TOKENS=admin:admin:$(secret),prometheus:viewer:$(secret)
END
mv "$file.new" "$file"
echo "Made $file"
