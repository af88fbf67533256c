/**
 * Randomness by position instead of by sequence: the n-th number of a stream is a hash of the stream's key and n.
 * So a reading depends on seed, device and sample index alone. Nothing shifts when a device starts late, misses
 * samples, or when another device is added; a generator that is advanced call by call cannot promise that.
 */
export class Stream {
  private constructor(
    private readonly a: number,
    private readonly b: number,
  ) {}

  /** The root of all streams of a run. Any safe integer. */
  static fromSeed(seed: number): Stream {
    return new Stream(mix(seed | 0), mix(Math.floor(seed / 2 ** 32) ^ 0x5bd1e995))
  }

  /** An independent stream. The same name gives the same stream. */
  derive(name: string): Stream {
    let a = this.a
    let b = this.b
    for (let i = 0; i < name.length; i++) {
      const unit = name.charCodeAt(i)
      a = Math.imul(a ^ unit, 0x85ebca77)
      b = Math.imul(b ^ unit, 0xc2b2ae3d)
      a ^= b >>> 15
    }
    return new Stream(mix(a ^ name.length), mix(b ^ a))
  }

  /** Evenly spread in [0, 1). `n`: any safe integer, negative ones too. */
  uniform(n: number): number {
    return this.word(n) / 2 ** 32
  }

  /** Standard normal: mean 0, deviation 1, within 6.7 deviations (Box-Muller). */
  gaussian(n: number): number {
    const radius = Math.sqrt(-2 * Math.log((this.word(2 * n) + 1) / 2 ** 32))
    return radius * Math.cos(2 * Math.PI * this.uniform(2 * n + 1))
  }

  /** An integer in [0, bound). */
  below(bound: number, n: number): number {
    return Math.floor(this.uniform(n) * bound)
  }

  private word(n: number): number {
    const low = mix(this.a ^ Math.imul(n | 0, 0x9e3779b1))
    return mix(low ^ this.b ^ Math.floor(n / 2 ** 32)) >>> 0
  }
}

/** MurmurHash3's finaliser: every bit of the input reaches every bit of the output. */
function mix(x: number): number {
  x = Math.imul(x ^ (x >>> 16), 0x85ebca6b)
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35)
  return x ^ (x >>> 16)
}
