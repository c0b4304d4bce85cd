/** Seeded random numbers and the distributions that the simulations draw from. */
export class Draws {
  #a: number
  #b: number
  #c: number
  #d: number

  constructor(seed: number) {
    this.#a = seed | 0
    this.#b = 0x9e3779b9
    this.#c = 0x243f6a88
    this.#d = 1
    for (let i = 0; i < 16; i += 1) this.bits()
  }

  /** 32 random bits, signed (sfc32). */
  bits(): number {
    const sum = (((this.#a + this.#b) | 0) + this.#d) | 0
    this.#d = (this.#d + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (this.#c << 21) | (this.#c >>> 11)
    this.#c = (this.#c + sum) | 0
    return sum
  }

  /** 0 ≤ n < 1. */
  uniform(): number {
    return (this.bits() >>> 0) / 2 ** 32
  }

  /** A whole number from 0 to `below` − 1. */
  below(below: number): number {
    return Math.floor(this.uniform() * below)
  }

  normal(): number {
    return Math.sqrt(-2 * Math.log(1 - this.uniform())) * Math.cos(2 * Math.PI * this.uniform())
  }

  poisson(mean: number): number {
    if (mean <= 0) return 0
    return mean < 10 ? this.#smallPoisson(mean) : this.#largePoisson(mean)
  }

  #smallPoisson(mean: number): number {
    const limit = Math.exp(-mean)
    let count = 0
    for (let product = this.uniform(); product > limit; product *= this.uniform()) count += 1
    return count
  }

  /** Hörmann's transformed rejection, 1993. */
  #largePoisson(mean: number): number {
    const b = 0.931 + 2.53 * Math.sqrt(mean)
    const a = -0.059 + 0.02483 * b
    const inverse = 1.1239 + 1.1328 / (b - 3.4)
    for (;;) {
      const u = this.uniform() - 0.5
      const v = 1 - this.uniform()
      const us = 0.5 - Math.abs(u)
      const k = Math.floor(((2 * a) / us + b) * u + mean + 0.43)
      if (us >= 0.07 && v <= 0.9277 - 3.6224 / (b - 2)) return k
      if (k < 0 || (us < 0.013 && v > us)) continue
      const accept = -mean + k * Math.log(mean) - lnFactorial(k)
      if (Math.log((v * inverse) / (a / (us * us) + b)) <= accept) return k
    }
  }
}

const LN_FACTORIALS: number[] = [0]

function lnFactorial(n: number): number {
  for (let i = LN_FACTORIALS.length; i <= n; i += 1) LN_FACTORIALS.push((LN_FACTORIALS[i - 1] ?? 0) + Math.log(i))
  return LN_FACTORIALS[n] ?? 0
}

/** Draws from a distribution over 0 … weights.length − 1 in constant time (Walker's alias method). */
export class Alias {
  readonly #keep: Float64Array
  readonly #other: Int32Array

  constructor(weights: ArrayLike<number>) {
    const { length } = weights
    let sum = 0
    for (let i = 0; i < length; i += 1) sum += weights[i] ?? 0
    this.#keep = Float64Array.from({ length }, (_, i) => ((weights[i] ?? 0) * length) / sum)
    this.#other = Int32Array.from({ length }, (_, i) => i)
    const small: number[] = []
    const large: number[] = []
    for (let i = 0; i < length; i += 1) ((this.#keep[i] ?? 0) < 1 ? small : large).push(i)
    for (let low = small.pop(); low !== undefined; low = small.pop()) {
      const high = large.pop()
      if (high === undefined) break
      this.#other[low] = high
      const left = (this.#keep[high] ?? 0) + (this.#keep[low] ?? 0) - 1
      this.#keep[high] = left
      ;(left < 1 ? small : large).push(high)
    }
  }

  draw(draws: Draws): number {
    const at = draws.uniform() * this.#keep.length
    const i = Math.floor(at)
    return at - i < (this.#keep[i] ?? 1) ? i : (this.#other[i] ?? i)
  }
}
