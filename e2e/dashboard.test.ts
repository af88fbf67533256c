import { mkdir, mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { chromium, type Browser, type Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { freePort } from '../broker/contract/free-port.js'
import { OpenClaw } from './harness/openclaw.js'
import { GatewayProcess } from './harness/process.js'
import { describeWith } from './harness/programs.js'

/** Set to write the picture of the README; takes three minutes, so that the curves show something. */
const PICTURE = process.env['OPENCLAW_SCREENSHOTS'] === undefined ? undefined : 'docs/images/dashboard.png'
const PICTURE_AFTER_MS = 170_000

/** For what comes with the next windows of five seconds. */
const WINDOWS = { timeout: 20_000 }

const ARGUMENTS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

describeWith('the dashboard in Chromium', ['chromium'], (programs) => {
  let browser: Browser
  let pictures: string
  let page: Page | undefined
  const programsRun: OpenClaw[] = []
  const gateways: GatewayProcess[] = []

  beforeAll(async () => {
    browser = await chromium.launch({ executablePath: programs.chromium, args: ARGUMENTS })
    pictures = await mkdtemp(path.join(tmpdir(), 'openclaw-dashboard-'))
  })
  afterEach(async () => {
    await page?.close()
    await Promise.all(programsRun.splice(0).map((program) => program.signal('SIGKILL')))
    await Promise.all(gateways.splice(0).map((gateway) => gateway.dispose()))
  })
  afterAll(() => browser.close())

  /** A page, and what it does that it must not do: complaints in the console, requests to other hosts. */
  async function open(url: string, width = 1280): Promise<{ page: Page; complaints: string[] }> {
    const complaints: string[] = []
    page = await browser.newPage({ viewport: { width, height: 800 }, colorScheme: 'light' })
    page.on('console', (message) => {
      // That the gateway is away the browser says itself.
      const expected = /WebSocket connection|ERR_CONNECTION/.test(message.text())
      if (['error', 'warning'].includes(message.type()) && !expected) complaints.push(message.text())
    })
    page.on('pageerror', (error) => complaints.push(String(error)))
    page.on('request', (request) => {
      if (new URL(request.url()).host !== new URL(url).host) complaints.push(`request to ${request.url()}`)
    })
    await page.goto(url)
    return { page, complaints }
  }

  async function demo(ports: readonly number[]): Promise<OpenClaw> {
    const [web, tcp, admin] = ports
    const sets = [`listeners[0].port=${web}`, `listeners[1].port=${tcp}`, `admin.port=${admin}`]
    const program = new OpenClaw(['demo', ...sets.flatMap((set) => ['--set', set])])
    programsRun.push(program)
    while (!program.output.includes('dashboard:')) {
      if (!program.running) throw new Error(program.output)
      await sleep(20)
    }
    return program
  }

  it(
    'draws charts that move, and goes on after the gateway was away',
    async () => {
      const ports = await Promise.all([freePort(), freePort(), freePort()])
      const first = await demo(ports)
      const { page, complaints } = await open(`http://127.0.0.1:${ports[0]}/`)
      await page.waitForSelector('#state[data-phase="connected"]')
      await page.waitForSelector('.card .uplot canvas', WINDOWS)
      // All rooms and metrics of the demo: a change after that can only be one of values.
      await expect.poll(() => page.locator('.room .card').count(), WINDOWS).toBe(18)
      const before = await values(page)
      await expect.poll(() => values(page), WINDOWS).not.toEqual(before)
      expect(await page.locator('#notice').isVisible()).toBe(false)

      if (PICTURE !== undefined) await sleep(PICTURE_AFTER_MS)
      for (const width of [1280, 390]) {
        await page.setViewportSize({ width, height: 800 })
        for (const colorScheme of ['light', 'dark'] as const) {
          await page.emulateMedia({ colorScheme })
          await page.waitForTimeout(300)
          await page.screenshot({ path: path.join(pictures, `${width}-${colorScheme}.png`) })
          expect(await overflow(page), `${width} ${colorScheme}`).toBe(0)
        }
      }
      await page.setViewportSize({ width: 1280, height: 800 })
      await page.emulateMedia({ colorScheme: 'light' })
      if (PICTURE !== undefined) {
        await mkdir(path.dirname(PICTURE), { recursive: true })
        await page.waitForTimeout(1_000)
        await page.screenshot({ path: PICTURE })
      }

      await first.signal('SIGTERM')
      await page.waitForSelector('#state[data-phase="waiting"]')
      expect(await page.locator('#state').textContent()).toMatch(/Reconnecting/)
      // What was drawn stays to be read.
      expect(await page.locator('.card .uplot canvas').count()).toBeGreaterThan(0)
      await demo(ports)
      await page.waitForSelector('#state[data-phase="connected"]', WINDOWS)
      const after = await values(page)
      await expect.poll(() => values(page), WINDOWS).not.toEqual(after)
      expect(complaints).toEqual([])
    },
    90_000 + (PICTURE === undefined ? 0 : PICTURE_AFTER_MS),
  )

  it('says what to do where nothing is published', async () => {
    const gateway = await GatewayProcess.start()
    gateways.push(gateway)
    const { page, complaints } = await open(`http://127.0.0.1:${gateway.ports.web}/`, 390)
    await page.getByText('Waiting for the first points').waitFor()
    await page.getByText('npm run demo').waitFor()
    await page.screenshot({ path: path.join(pictures, 'empty.png') })
    expect(await overflow(page)).toBe(0)
    expect(complaints).toEqual([])
  })

  it('asks for a token where one is needed', async () => {
    const gateway = await GatewayProcess.prepare({
      config: ({ web, admin }, folder) => ({
        store: { type: 'memory' },
        listeners: [{ name: 'web', type: 'ws', port: web, dashboard: true }],
        admin: { port: admin },
        auth: {
          anonymous: 'never',
          authenticators: [{ type: 'jwt', secretFile: path.join(folder, 'secret'), algorithms: ['HS256'] }],
        },
      }),
    })
    gateways.push(gateway)
    const secret = path.join(gateway.folder, 'secret')
    const { stdout: token } = await OpenClaw.run(['token', '--secret-file', secret, '--create-secret'])
    await gateway.start()

    const { page, complaints } = await open(`http://127.0.0.1:${gateway.ports.web}/`)
    await page.getByText('The gateway wants to know who you are').waitFor()
    await page.getByLabel('Token').fill('nonsense')
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.getByText('The gateway did not accept this token').waitFor()
    await page.screenshot({ path: path.join(pictures, 'sign-in.png') })
    await page.getByLabel('Token').fill(token)
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.waitForSelector('#state[data-phase="connected"]')
    // Kept for the tab: a reload asks nothing.
    await page.reload()
    await page.waitForSelector('#state[data-phase="connected"]')
    expect(page.url()).not.toContain(token.slice(0, 10))
    expect(gateway.output).not.toContain(token.trim())
    expect(complaints).toEqual([])
  })
})

/** What the cards show. Waiting inside the page would take `eval`, which its policy forbids. */
function values(page: Page): Promise<string[]> {
  return page.locator('.card .value').allTextContents()
}

/** Pixels that the page is wider than the window. */
function overflow(page: Page): Promise<number> {
  return page.evaluate('document.documentElement.scrollWidth - document.documentElement.clientWidth')
}
