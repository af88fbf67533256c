/** What the page says when there is nothing to draw: what is missing and what to do about it. */
export class Notice {
  constructor(private readonly root: HTMLElement) {}

  hide(): void {
    this.root.hidden = true
  }

  /** Connected a moment ago: most feeds have a retained message, which is on its way. */
  waiting(): void {
    this.show('Waiting for the first points', 'Charts appear as soon as feeds arrive.')
  }

  noData(): void {
    this.show(
      'Connected, but nothing has been published to feeds/ yet',
      'Charts appear here as soon as a bridge publishes a feed. Bridges read sensor topics such as',
      'sensors/<site>/<room>/<device>/<metric>',
      'To see it live, run the demo, which starts devices and bridges too:',
      'npm run demo',
      'If devices do publish, look at config/bridges.yaml and at the gateway’s log.',
    )
  }

  noGateway(): void {
    this.show(
      'The gateway does not answer',
      'The page tries again by itself. If it stays like this, see whether the gateway runs:',
      'npm start',
    )
  }

  /** Asks for a token. */
  signIn(wrong: boolean, submit: (token: string) => void): void {
    this.hide()
    this.show(
      wrong ? 'The gateway did not accept this token' : 'The gateway wants to know who you are',
      'Paste a token that may read feeds/#. It is kept until this tab is closed. For trying out, make one with:',
      'npx openclaw token --help',
    )
    const form = document.createElement('form')
    const input = document.createElement('input')
    input.type = 'password'
    input.autocomplete = 'off'
    input.setAttribute('aria-label', 'Token')
    input.placeholder = 'Token'
    input.required = true
    const button = document.createElement('button')
    button.textContent = 'Connect'
    form.append(input, button)
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      submit(input.value.trim())
    })
    this.root.append(form)
    input.focus()
  }

  /** Odd paragraphs are prose, even ones commands. */
  private show(title: string, ...paragraphs: readonly string[]): void {
    // Asked for twice a second: what is there already stays, with the reader's selection and scroll position.
    if (!this.root.hidden && this.root.firstElementChild?.textContent === title) return
    const heading = document.createElement('h2')
    heading.textContent = title
    const blocks = paragraphs.map((paragraph, index) => {
      const block = document.createElement(index % 2 === 0 ? 'p' : 'pre')
      block.textContent = paragraph
      return block
    })
    this.root.replaceChildren(heading, ...blocks)
    this.root.hidden = false
  }
}
