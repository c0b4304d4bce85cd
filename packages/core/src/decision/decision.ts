/** `A` is the present version, `B` the canary. */
export type UpstreamName = 'A' | 'B'

/**
 * Why a request went where it went: the first rule that applied. `no-release` is a registry's answer where no
 * release is in force; `fallback` means B was chosen but A served.
 */
export type Reason =
  | 'disabled'
  | 'rolled-back'
  | 'promoted'
  | 'override'
  | 'group'
  | 'bucket'
  | 'fallback'
  | 'no-release'

/** The link of the identity chain that was used. */
export type HashedBy = 'consumer' | 'ip' | 'header' | 'cookie' | 'none'

/** Where one request goes, and why. */
export interface Decision {
  /** The side that the request is for. */
  readonly upstream: UpstreamName
  /** The first rule that applied. */
  readonly reason: Reason
  /** What was hashed; `null` where no bucket was needed (override, group, rolled back …). */
  readonly hashedBy: HashedBy | null
  /** 0 … steps−1; `null` where no bucket was needed. */
  readonly bucket: number | null
  /** How many buckets were on B at that moment. */
  readonly bucketsOnB: number
  /** How many buckets there are; 0 if no release is in force. */
  readonly steps: number
  /** The release's `name`; empty where there is none. */
  readonly release: string
  /** Scheme, host and port of the chosen upstream, such as `http://orders-v2:3000`; `null` for an in-process handler. */
  readonly origin: string | null
  /**
   * A `Set-Cookie` value to send with the response: only with `hash: { cookie }`, for a request that had none, or none
   * that we signed.
   *
   * @default none
   */
  readonly setCookie?: string
}

/** How a decided request ended. */
export interface Outcome {
  /** What was decided for it. */
  readonly decision: Decision
  /** The upstream's raw status, before any error page; `null` where it never answered. */
  readonly status: number | null
  /** From the decision to the head of the response, in milliseconds. */
  readonly durationMs: number
  /**
   * What a guard judges the upstream's speed by: the milliseconds from the end of the request's upload to the head of the
   * response, without a wait that other clients caused. `null`: it says nothing, as the head came before that end.
   *
   * @default durationMs
   */
  readonly latencyMs?: number | null
  /** What failed on the upstream's side; `null` where nothing did. A client that went away is no failure. */
  readonly error: Error | null
  /** True where the client left before the response was whole. */
  readonly aborted: boolean
}
