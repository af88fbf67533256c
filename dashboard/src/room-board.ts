import { ChartCard } from './chart-card.js'
import type { Feed, FeedStore } from './feed-store.js'

/** The rooms and their charts: one window length at a time, in order of site, room and metric. */
export class RoomBoard {
  private readonly cards = new Map<string, ChartCard>()
  private readonly rooms = new Map<string, HTMLElement>()
  private readonly byElement = new Map<Element, ChartCard>()
  private window: string | undefined
  private search = ''

  private readonly visibility = new IntersectionObserver(
    (entries) => {
      for (const { target, isIntersecting } of entries) this.byElement.get(target)?.setVisible(isIntersecting)
    },
    { rootMargin: '200px' },
  )

  private readonly sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) this.byElement.get(target)?.resize()
  })

  constructor(
    private readonly root: HTMLElement,
    private readonly store: FeedStore,
  ) {
    window.matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      for (const card of this.cards.values()) card.restyle()
    })
  }

  /** Shows another window length. */
  show(window: string): void {
    if (window === this.window) return
    this.window = window
    for (const card of this.cards.values()) {
      this.visibility.unobserve(card.element)
      this.sizes.unobserve(card.element)
      card.destroy()
    }
    this.cards.clear()
    this.byElement.clear()
    this.rooms.clear()
    this.root.replaceChildren()
    for (const feed of this.store.feeds.values()) this.addFeed(feed)
  }

  /** Leaves only feeds whose site, room or metric holds every word. */
  filter(text: string): void {
    this.search = text.trim().toLowerCase()
    for (const [key, card] of this.cards) card.element.hidden = !this.matches(key)
    for (const room of this.rooms.values()) {
      room.hidden = [...room.querySelectorAll<HTMLElement>('.card')].every((card) => card.hidden)
    }
  }

  addFeed(feed: Feed): void {
    if (feed.name.window !== this.window || this.cards.has(feed.key)) return
    const card = new ChartCard(feed)
    this.cards.set(feed.key, card)
    this.byElement.set(card.element, card)
    const charts = this.roomOf(feed).querySelector<HTMLElement>('.charts')
    if (charts !== null)
      insertSorted(charts, card.element, feed.key, (element) => element.dataset['feed'] ?? '')
    card.element.hidden = !this.matches(feed.key)
    this.visibility.observe(card.element)
    this.sizes.observe(card.element)
  }

  update(now: number): void {
    for (const card of this.cards.values()) card.update(now)
  }

  private matches(key: string): boolean {
    const haystack = key.toLowerCase()
    return this.search.split(/\s+/).every((word) => haystack.includes(word))
  }

  private roomOf(feed: Feed): HTMLElement {
    const { site, room } = feed.name
    const key = `${site}/${room}`
    const known = this.rooms.get(key)
    if (known !== undefined) return known
    const section = document.createElement('section')
    section.className = 'room'
    section.dataset['room'] = key
    const heading = document.createElement('h2')
    const place = document.createElement('small')
    place.textContent = `${site} / `
    heading.append(place, room)
    const charts = document.createElement('div')
    charts.className = 'charts'
    section.append(heading, charts)
    insertSorted(this.root, section, key, (element) => element.dataset['room'] ?? '')
    this.rooms.set(key, section)
    return section
  }
}

function insertSorted(
  parent: HTMLElement,
  child: HTMLElement,
  key: string,
  keyOf: (element: HTMLElement) => string,
): void {
  const after = ([...parent.children] as HTMLElement[]).find(
    (element) => keyOf(element).localeCompare(key) > 0,
  )
  parent.insertBefore(child, after ?? null)
}
