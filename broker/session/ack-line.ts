export type AckType = 'puback' | 'pubrec' | 'pubcomp'

export interface AckSender {
  sendAck(type: AckType, packetId: number, reasonCode: number, reason: string | undefined): void
}

export interface AckSlot {
  readonly type: AckType
  readonly packetId: number
  reasonCode: number
  reason: string | undefined
}

const OPEN = -1

/**
 * Keeps acknowledgements in the order of the publishes they answer [MQTT-4.6.0-2], [MQTT-4.6.0-3], also when some
 * of them are decided at once (denied) and others wait for the disk. Bounded by the receive maximum.
 */
export class AckLine {
  private readonly slots: AckSlot[] = []

  constructor(private readonly sender: AckSender) {}

  open(type: AckType, packetId: number): AckSlot {
    const slot = { type, packetId, reasonCode: OPEN, reason: undefined }
    this.slots.push(slot)
    return slot
  }

  /** Decides a slot; it leaves, with all that waited behind it, once everything before it has left. */
  settle(slot: AckSlot, reasonCode: number, reason?: string): void {
    slot.reasonCode = reasonCode
    slot.reason = reason
    let first = this.slots[0]
    while (first !== undefined && first.reasonCode !== OPEN) {
      this.slots.shift()
      this.sender.sendAck(first.type, first.packetId, first.reasonCode, first.reason)
      first = this.slots[0]
    }
  }
}
