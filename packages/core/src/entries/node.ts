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
} from '../adapter/node-handler.js'
