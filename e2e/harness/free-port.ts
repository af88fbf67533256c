import net, { type AddressInfo } from 'node:net'

/**
 * A TCP port of 127.0.0.1 that nobody listens on. For processes that have to come back on the same port after a
 * restart; a gateway inside the test takes port 0.
 */
export async function freePort(): Promise<number> {
  const server = net.createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}
