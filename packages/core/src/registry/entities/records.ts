/** A reference to another record. */
export interface Ref {
  /** The UUID of the record. */
  readonly id: string
}

/** What every record has. */
export interface Stamped {
  /** A UUID in lower case. */
  readonly id: string
  /** Seconds since the epoch. */
  readonly created_at: number
  /** Seconds since the epoch. */
  readonly updated_at: number
  /** Labels that lists can be filtered by. */
  readonly tags: readonly string[] | null
}

/** Location A. Retries and timeouts are stored and returned; the mount's own apply. */
export interface Service extends Stamped {
  /** A unique name, or `null`. */
  readonly name: string | null
  /** The scheme of location A. */
  readonly protocol: 'http' | 'https'
  /** A host name or address. */
  readonly host: string
  /** 1 … 65 535. */
  readonly port: number
  /** What the path of a request is appended to; `null`: nothing. */
  readonly path: string | null
  /** Stored and returned only. */
  readonly retries: number
  /** Stored and returned only: milliseconds. */
  readonly connect_timeout: number
  /** Stored and returned only: milliseconds. */
  readonly write_timeout: number
  /** Stored and returned only: milliseconds. */
  readonly read_timeout: number
  /** False: mounts of it answer as if it were not known. */
  readonly enabled: boolean
}

/** A part of a service that a mount can name. All but its name and service is stored and returned, never matched. */
export interface Route extends Stamped {
  /** A unique name, or `null`. */
  readonly name: string | null
  /** The service that it belongs to. */
  readonly service: Ref | null
  /** Stored and returned only. */
  readonly protocols: readonly ('http' | 'https' | 'grpc' | 'grpcs' | 'ws' | 'wss')[]
  /** Stored and returned only. */
  readonly methods: readonly string[] | null
  /** Stored and returned only. */
  readonly hosts: readonly string[] | null
  /** Stored and returned only. */
  readonly paths: readonly string[] | null
  /** Stored and returned only. */
  readonly headers: Readonly<Record<string, readonly string[]>> | null
  /** Stored and returned only. */
  readonly snis: readonly string[] | null
  /** Stored and returned only. */
  readonly https_redirect_status_code: number
  /** Stored and returned only. */
  readonly regex_priority: number
  /** Stored and returned only. */
  readonly strip_path: boolean
  /** Stored and returned only. */
  readonly path_handling: 'v0' | 'v1'
  /** Stored and returned only. */
  readonly preserve_host: boolean
  /** Stored and returned only. */
  readonly request_buffering: boolean
  /** Stored and returned only. */
  readonly response_buffering: boolean
}

/** Who calls. It has at least one of `username` and `custom_id`. */
export interface Consumer extends Stamped {
  /** A unique name, or `null`. */
  readonly username: string | null
  /** The unique id that another system has for it, or `null`. */
  readonly custom_id: string | null
}

/** A legacy api: service and route in one. Only its name and `upstream_url` mean anything here. */
export interface Api extends Stamped {
  /** A unique name. */
  readonly name: string
  /** Location A. */
  readonly upstream_url: string
  /** Stored and returned only. */
  readonly uris: readonly string[] | null
  /** Stored and returned only. */
  readonly hosts: readonly string[] | null
  /** Stored and returned only. */
  readonly methods: readonly string[] | null
  /** Stored and returned only. */
  readonly strip_uri: boolean
  /** Stored and returned only. */
  readonly preserve_host: boolean
  /** Stored and returned only. */
  readonly retries: number
  /** Stored and returned only: milliseconds. */
  readonly upstream_connect_timeout: number
  /** Stored and returned only: milliseconds. */
  readonly upstream_send_timeout: number
  /** Stored and returned only: milliseconds. */
  readonly upstream_read_timeout: number
  /** Stored and returned only. */
  readonly https_only: boolean
  /** Stored and returned only. */
  readonly http_if_terminated: boolean
}

/** `config` of a canary plugin, as Kong names it. Every field is there once it is stored. */
export interface CanaryConfig {
  /** When the ramp begins: epoch seconds; fixed when the record is created without a percentage. */
  readonly start: number | null
  /** Length of the ramp: seconds. */
  readonly duration: number
  /** B's share in percent, 0 … 100. It goes before start and duration. */
  readonly percentage: number | null
  /** Number of buckets, 1 … 2³². */
  readonly steps: number
  /** B's host; `null`: A's. */
  readonly upstream_host: string | null
  /** B's port; `null`: A's. */
  readonly upstream_port: number | null
  /** B's path, which replaces the whole path; `null`: A's path and the request's. */
  readonly upstream_uri: string | null
  /** What an identity is. The older names `whitelist` and `blacklist` are read as `allow` and `deny`. */
  readonly hash: 'consumer' | 'ip' | 'none' | 'header' | 'allow' | 'deny'
  /** Name of the header of `hash: header`. */
  readonly hash_header: string | null
  /** The groups of `hash: allow` and `hash: deny`. */
  readonly groups: readonly string[] | null
  /** True sends B's requests to A while B cannot be reached. */
  readonly upstream_fallback: boolean
  /** Name of a request header whose value `always` means B, `never` A. */
  readonly canary_by_header_name: string | null
}

/** A canary and its scope; one without a scope is global. */
export interface Plugin extends Stamped {
  /** The only plugin that there is here. */
  readonly name: 'canary'
  /** A unique name, or `null`. */
  readonly instance_name: string | null
  /** Its scope: requests of this service. */
  readonly service: Ref | null
  /** Its scope: requests of this route. */
  readonly route: Ref | null
  /** Its scope: requests of this consumer. */
  readonly consumer: Ref | null
  /** Its scope: requests of this legacy api. Kong's newer plugins do not have the field. */
  readonly api: Ref | null
  /** The release. */
  readonly config: CanaryConfig
  /** Stored and returned only. */
  readonly protocols: readonly (
    | 'grpc'
    | 'grpcs'
    | 'http'
    | 'https'
    | 'ws'
    | 'wss'
    | 'tcp'
    | 'tls'
    | 'tls_passthrough'
    | 'udp'
  )[]
  /** False: the next scope applies. */
  readonly enabled: boolean
}

/** A consumer's key. Never in lists, logs or the audit trail. */
export interface KeyauthCredential extends Stamped {
  /** The key itself: a secret. */
  readonly key: string
  /** Whose key it is. */
  readonly consumer: Ref
  /** Stored and returned only: seconds. */
  readonly ttl: number | null
}

/** A consumer's membership in a group. */
export interface Acl extends Stamped {
  /** The name of the group. */
  readonly group: string
  /** Who is in it. */
  readonly consumer: Ref
}
