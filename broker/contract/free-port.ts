import net from 'node:net'

/** Below what the kernel gives to outgoing connections (from 32,768 on): one of them would hold the port for good. */
const LOWEST = 10_000
const HIGHEST = 32_767

/** Each is given once: whoever got one may not listen yet. As many as a process starts servers. */
const given = new Set<number>()

/**
 * A TCP port of 127.0.0.1 that nobody listens on, nor on the one `apart` above it. For processes that come back on the
 * same port after a restart; whatever is in the process of who asks takes port 0.
 */
export async function freePort(apart = 0): Promise<number> {
  for (;;) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST - apart + 1))
    if (given.has(port) || given.has(port + apart)) continue
    given.add(port).add(port + apart)
    if ((await isFree(port)) && (apart === 0 || (await isFree(port + apart)))) return port
  }
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = net.createServer()
    server.once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
