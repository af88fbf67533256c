#!/bin/sh
# A crash may tear a transaction in the append-only file. Redis leaves its commands there, and carries them out, half of a
# message, at the start after the next (seen with 7.0.15): they are cut off first.
for manifest in appendonlydir/*.manifest; do
  if [ -e "$manifest" ]; then
    echo y | redis-check-aof --fix "$manifest" || exit 1
  fi
done
exec docker-entrypoint.sh redis-server /usr/local/etc/redis/redis.conf
