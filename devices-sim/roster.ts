import type { Profile } from './profile/schema.js'
import type { Stream } from './random.js'
import { createRoom } from './surroundings/room.js'
import { createWeather } from './surroundings/weather.js'
import type { Sensor } from './models/model.js'

/** A device before it is switched on: where it is and what it measures. */
export interface DevicePlan {
  /** `<prefix><kind>-<number>`: topic level and client identifier. */
  readonly name: string
  readonly site: string
  readonly room: string
  readonly metrics: readonly MetricPlan[]
  readonly stream: Stream
}

export interface MetricPlan {
  readonly metric: string
  /** `sensors/<site>/<room>/<device>/<metric>` */
  readonly topic: string
  readonly sensor: Sensor
  readonly stream: Stream
}

/**
 * Spreads `count` devices over rooms and kinds by their shares. The first n devices are the same for every count
 * of at least n, readings included: a larger fleet adds devices and changes none.
 */
export function planDevices(profile: Profile, count: number, prefix: string, root: Stream): DevicePlan[] {
  const rooms = profile.sites.flatMap((site) => {
    const stream = root.derive(`site ${site.name}`)
    const weather = createWeather(site.weather, stream.derive('weather'))
    return site.rooms.map((room) => ({
      site: site.name,
      name: room.name,
      share: room.share,
      weather,
      air: createRoom(room.climate, weather, stream.derive(`room ${room.name}`)),
      nextKind: takeByShare(profile.devices),
    }))
  })
  const nextRoom = takeByShare(rooms)
  const numbers = new Map<string, number>()

  return Array.from({ length: count }, () => {
    const room = nextRoom()
    const kind = room.nextKind()
    const number = (numbers.get(kind.name) ?? 0) + 1
    numbers.set(kind.name, number)
    const ordinal = `${kind.name}-${String(number).padStart(4, '0')}`
    const name = `${prefix}${ordinal}`
    // Not from the prefixed name: two fleets side by side with one seed read the same.
    const stream = root.derive(`device ${ordinal}`)
    const metrics = Object.entries(kind.metrics).map(([metric, create]) => {
      const own = stream.derive(`metric ${metric}`)
      return {
        metric,
        topic: `sensors/${room.site}/${room.name}/${name}/${metric}`,
        sensor: create({ weather: room.weather, room: room.air, stream: own }),
        stream: own,
      }
    })
    return { name, site: room.site, room: room.name, metrics, stream }
  })
}

/** Takes items in turn so that each is taken in proportion to its share (stride scheduling). */
function takeByShare<Item extends { readonly share: number }>(items: readonly Item[]): () => Item {
  const turns = items.map((item) => ({ item, next: 1 / item.share }))
  return () => {
    const turn = turns.reduce((first, other) => (other.next < first.next ? other : first))
    turn.next += 1 / turn.item.share
    return turn.item
  }
}
