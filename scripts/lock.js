// A lock between processes: two that install or build at once would break each other's work.
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'

/** Runs `action` while this process holds the file `path`; waits while another living process holds it. */
export async function withLock(path, action) {
  await take(path)
  const release = () => rmSync(path, { force: true })
  process.once('exit', release)
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(1))
  try {
    return await action()
  } finally {
    process.removeListener('exit', release)
    release()
  }
}

async function take(path) {
  let told = false
  while (!createWith(path, String(process.pid))) {
    const holder = holderOf(path)
    if (holder === null) continue
    if (!isAlive(Number(holder))) {
      removeHeldBy(path, holder)
      continue
    }
    if (!told) process.stdout.write(`Waiting for process ${holder}, which sets up this folder (${path}).\n`)
    told = true
    await setTimeout(200)
  }
}

/** Creates the file with its content at once, so that nobody reads it empty; false where there is one. */
function createWith(path, content) {
  const own = `${path}.${process.pid}`
  writeFileSync(own, content)
  try {
    linkSync(own, path)
    return true
  } catch (error) {
    if (error.code === 'EEXIST') return false
    throw error
  } finally {
    rmSync(own, { force: true })
  }
}

/** `null` where it was given back meanwhile. */
function holderOf(path) {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    if (error.code === 'ENOENT') return null
    throw error
  }
}

/** Removes what a process that died left behind; what another one took meanwhile is put back. */
function removeHeldBy(path, holder) {
  const aside = `${path}.${process.pid}`
  try {
    renameSync(path, aside)
    const found = readFileSync(aside, 'utf8')
    if (found !== holder) createWith(path, found)
  } catch (error) {
    if (error.code !== 'ENOENT') throw error
  } finally {
    rmSync(aside, { force: true })
  }
}

function isAlive(pid) {
  if (!Number.isInteger(pid) || pid <= 0) return false
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error.code === 'EPERM'
  }
}
