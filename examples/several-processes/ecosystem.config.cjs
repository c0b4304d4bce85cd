// pm2 start examples/several-processes/ecosystem.config.cjs
// Two gateways share one port and one file; `pm2 reload gateway` replaces them one after another.
const { join } = require('node:path')

const programs = join(__dirname, '../dist/several-processes')
const {
  PORT = '8000',
  FILE = join(__dirname, 'canaries.json'),
  A = 'http://127.0.0.1:8101',
  B = 'http://127.0.0.1:8102',
  BAD_RATE = '0',
} = process.env
const GATEWAYS = 2

module.exports = {
  apps: [
    { name: 'versions', script: join(programs, 'versions.js'), env: { A, B, BAD_RATE } },
    {
      name: 'gateway',
      script: join(programs, 'gateway.js'),
      exec_mode: 'cluster',
      instances: GATEWAYS,
      // A move of a guard that is on its way to the file is written before the process ends.
      kill_timeout: 5000,
      env: { PORT, FILE, A, B, PROCESSES: String(GATEWAYS) },
    },
  ],
}
