import { FeedStore } from './feed-store.js'
import { parseFeedMessage } from './feed.js'
import { GatewayLink, type LinkState } from './gateway-link.js'
import { Notice } from './notice.js'
import { RateMeter } from './rate-meter.js'
import { RoomBoard } from './room-board.js'
import './main.css'

const TOKEN_KEY = 'openclaw-token'

/** How long a connected page waits for a feed before it says what to do, in milliseconds. */
const PATIENCE_MS = 6_000

const store = new FeedStore()
const rate = new RateMeter()
const board = new RoomBoard(byId('rooms'), store)
const notice = new Notice(byId('notice'))
let state: LinkState = { phase: 'connecting' }
let stateSince = Date.now()
let lastMessage: number | undefined
let windowsShown = ''

const link = new GatewayLink(await endpoint(), ['feeds/#'], {
  state(next) {
    state = next
    stateSince = Date.now()
    if (next.phase === 'refused') {
      sessionStorage.removeItem(TOKEN_KEY)
      notice.signIn(next.hadToken, (token) => {
        sessionStorage.setItem(TOKEN_KEY, token)
        link.open(token)
      })
    }
    refresh()
  },
  message(topic, payload) {
    const now = Date.now()
    rate.count(now)
    lastMessage = now
    const message = parseFeedMessage(topic, payload)
    if (message === undefined) return
    const feed = store.add(message)
    if (feed === undefined) return
    showWindows()
    board.addFeed(feed)
  },
})

link.open(sessionStorage.getItem(TOKEN_KEY) ?? undefined)
byId('search').addEventListener('input', (event) => {
  board.filter((event.currentTarget as HTMLInputElement).value)
})
setInterval(refresh, 500)

/** Where this gateway takes MQTT: it says so itself, next to the page. */
async function endpoint(): Promise<string> {
  const url = new URL(location.href)
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:'
  url.search = ''
  url.hash = ''
  url.pathname = '/mqtt'
  try {
    const response = await fetch('gateway.json')
    const settings: unknown = response.ok ? await response.json() : undefined
    if (
      typeof settings === 'object' &&
      settings !== null &&
      'path' in settings &&
      typeof settings.path === 'string'
    ) {
      url.pathname = settings.path
    }
  } catch {
    // The gateway has just gone away: the usual path will do for trying again.
  }
  return url.href
}

function refresh(): void {
  const now = Date.now()
  byId('state').dataset['phase'] = state.phase
  byId('state-text').textContent = describe(state, now)
  byId('feeds').textContent = store.feeds.size.toLocaleString('en')
  byId('rate').textContent = `${rate.rate(now).toFixed(1)}/s`
  byId('updated').textContent = lastMessage === undefined ? '–' : ago(now - lastMessage)
  board.update(now)
  if (state.phase === 'refused') return
  const patient = now - stateSince < PATIENCE_MS
  if (store.feeds.size > 0) notice.hide()
  else if (state.phase === 'connected' && patient) notice.waiting()
  else if (state.phase === 'connected') notice.noData()
  else if (state.phase === 'waiting') notice.noGateway()
}

function describe(current: LinkState, now: number): string {
  switch (current.phase) {
    case 'connecting':
      return 'Connecting'
    case 'connected':
      return 'Connected'
    case 'waiting':
      return `Reconnecting in ${Math.max(0, Math.ceil((current.retryAt - now) / 1000))} s`
    case 'refused':
      return 'Not signed in'
  }
}

function showWindows(): void {
  const windows = store.windows()
  if (windows.join() === windowsShown) return
  windowsShown = windows.join()
  const group = byId('windows')
  const chosen = group.querySelector<HTMLElement>('[aria-pressed="true"]')?.textContent ?? windows[0]
  group.replaceChildren(
    ...windows.map((name) => {
      const button = document.createElement('button')
      button.type = 'button'
      button.textContent = name
      button.addEventListener('click', () => choose(name))
      return button
    }),
  )
  byId('tools').hidden = false
  if (chosen !== undefined) choose(chosen)
}

function choose(name: string): void {
  for (const button of byId('windows').children) {
    button.setAttribute('aria-pressed', String(button.textContent === name))
  }
  board.show(name)
}

function ago(ms: number): string {
  if (ms < 1_500) return 'now'
  if (ms < 90_000) return `${Math.round(ms / 1000)} s ago`
  return `${Math.round(ms / 60_000)} min ago`
}

function byId(id: string): HTMLElement {
  const element = document.getElementById(id)
  if (element === null) throw new Error(`the page has no element #${id}`)
  return element
}
