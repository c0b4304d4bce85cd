export { httpProxyForwarder } from '../proxy/http-proxy/forwarder.js'
