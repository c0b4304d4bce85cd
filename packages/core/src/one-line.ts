/**
 * Text that stands in a log line as it is: without control characters, line separators and the marks that turn the
 * direction of what follows.
 */
// eslint-disable-next-line no-misleading-character-class
export const ONE_LINE = /^[^\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]*$/u
