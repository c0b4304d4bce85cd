import { disown, isPromise } from '../hook.js'

type Listener<Event> = (event: Event) => void

/** Listeners by the name of their event. One that throws or rejects is reported and disturbs nobody else. */
export class Listeners<Events extends object> {
  #byName: { [Name in keyof Events]?: readonly Listener<Events[Name]>[] | undefined } = {}
  readonly #report: (error: unknown) => void

  constructor(report: (error: unknown) => void) {
    this.#report = report
  }

  /** Returns a function that removes this listener, and no other that was added with the same function. */
  add<Name extends keyof Events>(name: Name, listener: Listener<Events[Name]>): () => void {
    const added: Listener<Events[Name]> = (event) => listener(event)
    this.#byName[name] = [...(this.#byName[name] ?? []), added]
    return () => this.#remove(name, added)
  }

  #remove<Name extends keyof Events>(name: Name, added: Listener<Events[Name]>): void {
    const rest = (this.#byName[name] ?? []).filter((known) => known !== added)
    this.#byName[name] = rest.length === 0 ? undefined : rest
  }

  has(name: keyof Events): boolean {
    return this.#byName[name] !== undefined
  }

  emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    for (const listener of this.#byName[name] ?? []) {
      try {
        const result: unknown = listener(event)
        // An async listener's rejection would end the process.
        if (isPromise(result)) disown(result, this.#report)
      } catch (error) {
        this.#report(error)
      }
    }
  }

  clear(): void {
    this.#byName = {}
  }
}
