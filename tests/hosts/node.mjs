// An IPFS node that talks to nobody: its RPC on a free port of loopback, its blocks in the folder that is named.
// Prints the RPC's URL when it answers; ends with its standard input.
import { pathToFileURL } from 'node:url'

const [modules, repo] = process.argv.slice(2)
const { Daemon } = await import(pathToFileURL(`${modules}/ipfs-daemon/src/index.js`))
const daemon = new Daemon({
  repo,
  offline: true,
  silent: true,
  config: {
    Addresses: { Swarm: [], API: '/ip4/127.0.0.1/tcp/0', Gateway: '/ip4/127.0.0.1/tcp/0' },
    Bootstrap: [],
    Discovery: { MDNS: { Enabled: false }, webRTCStar: { Enabled: false } }
  }
})
await daemon.start()
const { port } = daemon._httpApi._apiServers[0].info
console.log(`http://127.0.0.1:${port}`)
process.stdin.resume()
process.stdin.on('end', async () => { await daemon.stop(); process.exit(0) })
