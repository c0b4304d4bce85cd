/**
 * Headers in which gateways, single sign-on and mutual TLS tell an application who calls and what was asked for. Servers
 * behind believe them. `*` stands for any rest of a name.
 */
export const IDENTITY_HEADERS = `remote-user x-remote-user x-forwarded-user x-forwarded-email x-forwarded-groups
x-forwarded-preferred-username x-forwarded-access-token x-auth-request-* x-consumer-* x-credential-* x-authenticated-*
x-webauth-* x-goog-authenticated-user-* x-amzn-oidc-* x-ms-client-principal* x-forwarded-client-cert
x-forwarded-tls-client-cert* x-client-cert* x-ssl-* ssl-client-* true-client-ip cf-connecting-ip fastly-client-ip
x-client-ip x-cluster-client-ip x-original-url x-original-uri x-original-host x-original-method x-rewrite-url`.split(
  /\s+/,
)

/** Whether a header is one of some, by its name in lower case. */
export type NameTest = (name: string) => boolean

/** Compiles names, of which some may end with `*`. CGI and WSGI read `_` as `-`, so it is no other name. */
export function compileNames(names: readonly string[]): NameTest {
  const whole = new Set<string>()
  const beginnings: string[] = []
  for (const name of names) {
    const spelt = dashed(name.toLowerCase())
    if (spelt.endsWith('*')) beginnings.push(spelt.slice(0, -1))
    else whole.add(spelt)
  }
  return (name) => {
    const spelt = dashed(name)
    return whole.has(spelt) || beginnings.some((beginning) => spelt.startsWith(beginning))
  }
}

export function dashed(name: string): string {
  return name.includes('_') ? name.replaceAll('_', '-') : name
}
