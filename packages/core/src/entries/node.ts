export {
  type AttachOptions,
  type CanaryHandler,
  type NodeHandler,
  type NodeRequest,
  type NodeResponse,
  attachUpgrades,
  createHandler,
} from '../adapter/node-handler.js'
