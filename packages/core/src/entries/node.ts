export {
  type CanaryHandler,
  type NodeHandler,
  type NodeRequest,
  type NodeResponse,
  type UpgradeClaims,
  type UpgradeOptions,
  type UpgradeServer,
  attachUpgrades,
  createHandler,
  createHandler as canary,
} from '../adapter/node-handler.js'
export type { MountHandle } from '../adapter/mount.js'
export type { CanarySource, RegistrySource } from '../adapter/source.js'
export { fail } from '../adapter/request-decisions.js'
