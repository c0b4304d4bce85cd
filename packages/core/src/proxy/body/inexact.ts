/** Why what is left of a body is not what came: fixed text, which is part of a public message. */
export class Inexact extends Error {}
