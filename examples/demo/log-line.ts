import { FINISHED, type Scene, askedOf, countText, guardText, percentText, stateText } from './scene.js'

/** One moment as one line, for where there is no terminal. */
export function logLine(scene: Scene): string {
  const { status, seconds } = scene
  if (status === null) return `${seconds} s  ${FINISHED}`
  return [
    `${seconds} s`,
    `asked ${percentText(askedOf(status))}`,
    `measured ${percentText(scene.measured)}`,
    `${countText(scene.requests)} requests`,
    `${scene.moved} moved`,
    `${scene.wentBack} went back`,
    stateText(status),
    `guard ${guardText(scene)}`,
  ].join('  ')
}
