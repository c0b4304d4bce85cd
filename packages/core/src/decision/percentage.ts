/** An exact decimal: `digits / 10^scale`. */
interface Decimal {
  readonly digits: bigint
  readonly scale: number
}

/** The decimal that `String(number)` prints, such as 32.3 or 1e-7: what the person who wrote it meant. */
function decimalOf(number: number): Decimal {
  const [mantissa = '0', exponent = '0'] = String(number).split('e')
  const [whole = '0', fraction = ''] = mantissa.split('.')
  const scale = fraction.length - Number(exponent)
  const digits = BigInt(whole + fraction)
  return scale < 0 ? { digits: digits * 10n ** BigInt(-scale), scale: 0 } : { digits, scale }
}

/** `floor(percentage × steps / 100)`, exactly: 32.3 % of 1000 is 323, where floating point says 322. */
export function bucketsOfPercentage(percentage: number, steps: number): number {
  const { digits, scale } = decimalOf(percentage)
  return Number((digits * BigInt(steps)) / (100n * 10n ** BigInt(scale)))
}

/** The smallest number of steps of which `percentage` (above 0) is at least one bucket. */
export function leastSteps(percentage: number): number {
  const { digits, scale } = decimalOf(percentage)
  const hundred = 100n * 10n ** BigInt(scale)
  return Number((hundred + digits - 1n) / digits)
}
