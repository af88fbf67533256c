#!/bin/sh
# Makes the certificates of the tests anew: a CA, a server (localhost, 127.0.0.1, ::1), a client "device-1" of that
# CA, and a client of another CA. For tests only: their private keys are public. Valid for 100 years.
set -eu
cd "$(dirname "$0")"

authority() { # file, name
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 36500 \
    -keyout "$1.key" -out "$1.crt" -subj "/CN=$2" 2>/dev/null
}

issue() { # file, name, authority, extensions
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
    -keyout "$1.key" -out "$1.csr" -subj "/CN=$2" 2>/dev/null
  printf '%s\n' "$4" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$3.crt" -CAkey "$3.key" -set_serial "0x$(openssl rand -hex 8)" \
    -days 36500 -extfile "$1.ext" -out "$1.crt" 2>/dev/null
  rm "$1.csr" "$1.ext"
}

authority ca 'Test CA (not a secret)'
authority other-ca 'Other test CA (not a secret)'
issue server localhost ca 'subjectAltName=DNS:localhost,IP:127.0.0.1,IP:::1'
issue client device-1 ca 'extendedKeyUsage=clientAuth'
issue stranger stranger other-ca 'extendedKeyUsage=clientAuth'
# Nothing more will be issued.
rm ca.key other-ca.key other-ca.crt
