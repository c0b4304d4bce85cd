import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

/** Programs of this folder as processes of their own, which send messages. Disposed: they are ended. */
export class Children implements AsyncDisposable {
  readonly #children: ChildProcess[] = []

  start(
    program: string,
    count: number,
    args: readonly string[],
    heard: (message: unknown, child: number) => void,
  ): void {
    const path = fileURLToPath(new URL(`${program}.js`, import.meta.url))
    for (let i = 0; i < count; i += 1) {
      const child = fork(path, [...args, String(i)], { serialization: 'advanced' })
      child.on('message', (message) => heard(message, i))
      this.#children.push(child)
    }
  }

  tell(message: string): void {
    for (const child of this.#children) child.send(message)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const running = this.#children.filter(({ exitCode, signalCode }) => exitCode === null && signalCode === null)
    await Promise.all(
      running.map((child) => {
        const exited = once(child, 'exit')
        child.kill('SIGKILL')
        return exited
      }),
    )
  }
}

/** The same clock in all processes of a host, in milliseconds. */
export function hostClock(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
