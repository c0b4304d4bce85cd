/** What pino and console have in common. */
export interface Logger {
  /** A release was moved. */
  info(message: string): void
  /** Something that a person should look at. */
  warn(message: string): void
  /** A problem that no request can answer for; once for each kind. */
  error(message: string): void
}

export const SILENT: Logger = { info() {}, warn() {}, error() {} }
