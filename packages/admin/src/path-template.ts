/** A path with its parameters filled in: `/services/{service}/plugins` → `/services/orders/plugins`. */
export function filledPath(path: string, params: Readonly<Record<string, string>>): string {
  return path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(params[name] ?? ''))
}
