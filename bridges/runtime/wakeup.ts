/**
 * Lets one loop wait for whichever of several things happens next. A wake-up while nobody waits is kept, so none is
 * lost. (`Promise.race` over a read that stays pending for days would add a reaction to it with every round.)
 */
export class Wakeup {
  private woken = false
  private resolve: (() => void) | undefined

  wake(): void {
    this.woken = true
    const resolve = this.resolve
    this.resolve = undefined
    resolve?.()
  }

  async wait(): Promise<void> {
    if (!this.woken) await new Promise<void>((resolve) => (this.resolve = resolve))
    this.woken = false
  }
}
