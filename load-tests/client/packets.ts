/** What a client sends, as bytes. Strings are ours, and short: lengths are not checked. */

export type Version = 4 | 5

export interface ConnectFields {
  readonly version: Version
  readonly clientId: string
  /** Clean Session, Clean Start. */
  readonly clean: boolean
  /** MQTT 5: Session Expiry Interval in seconds. In MQTT 3.1.1 a session without `clean` stays. */
  readonly sessionExpirySeconds: number
  readonly username: string | undefined
  readonly password: string | undefined
}

export function connectPacket(fields: ConnectFields): Buffer {
  const { version, clientId, clean, sessionExpirySeconds, username, password } = fields
  const flags = (clean ? 0x02 : 0) | (username === undefined ? 0 : 0x80) | (password === undefined ? 0 : 0x40)
  // Keep Alive 0: no pings, so that nothing but the work of the scenario costs anything.
  const variable = [...text('MQTT'), version, flags, 0, 0]
  if (version === 5) {
    variable.push(...(sessionExpirySeconds > 0 ? [5, 0x11, ...uint32(sessionExpirySeconds)] : [0]))
  }
  const payload = [clientId, username, password].flatMap((part) => (part === undefined ? [] : text(part)))
  return packet(0x10, [...variable, ...payload])
}

export function subscribePacket(
  version: Version,
  packetId: number,
  filters: readonly string[],
  qos: number,
): Buffer {
  return packet(0x82, [
    ...uint16(packetId),
    ...noProperties(version),
    ...filters.flatMap((filter) => [...text(filter), qos]),
  ])
}

export interface PublishFields {
  readonly version: Version
  readonly topic: string
  readonly qos: number
  readonly retain: boolean
  /** 1 to 65,535; left out for QoS 0. */
  readonly packetId: number
  readonly payload: Uint8Array
}

export function publishPacket({ version, topic, qos, retain, packetId, payload }: PublishFields): Buffer {
  const head = [...text(topic), ...(qos > 0 ? uint16(packetId) : []), ...noProperties(version)]
  return packet(0x30 | (qos << 1) | (retain ? 1 : 0), head, payload)
}

export function disconnectPacket(): Buffer {
  return packet(0xe0, [])
}

/** Writes PUBACK, PUBREC, PUBREL or PUBCOMP, 4 bytes; success needs no reason code in MQTT 5 either (3.4.2.1). */
export function writeAcknowledgement(target: Buffer, offset: number, type: number, packetId: number): void {
  // PUBREL has the reserved flags 0010 [MQTT-3.6.1-1].
  target[offset] = (type << 4) | (type === 6 ? 0x02 : 0)
  target[offset + 1] = 2
  target[offset + 2] = packetId >> 8
  target[offset + 3] = packetId & 0xff
}

function packet(first: number, body: readonly number[], payload: Uint8Array = new Uint8Array()): Buffer {
  const length = body.length + payload.length
  return Buffer.concat([Buffer.from([first, ...variableByteInteger(length), ...body]), payload])
}

function variableByteInteger(value: number): number[] {
  const bytes = []
  let rest = value
  do {
    const byte = rest & 0x7f
    rest >>>= 7
    bytes.push(rest > 0 ? byte | 0x80 : byte)
  } while (rest > 0)
  return bytes
}

function text(value: string): number[] {
  const bytes = Buffer.from(value)
  return [...uint16(bytes.length), ...bytes]
}

function noProperties(version: Version): number[] {
  return version === 5 ? [0] : []
}

function uint16(value: number): number[] {
  return [value >> 8, value & 0xff]
}

function uint32(value: number): number[] {
  return [(value >>> 24) & 0xff, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff]
}
