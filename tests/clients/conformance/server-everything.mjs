// The official server that has everything, which looks neither at Host nor at Origin, at `/mcp/KEY`.
//
// It can only be told a port; what it listens on, and what reaches it, is mended where it listens.
import { Server } from 'node:net';

const { KEY } = process.env;
const listen = Server.prototype.listen;

Server.prototype.listen = function () {
  // Before the handler that is already there: to that, the key is no part of the path.
  this.prependListener('request', (request) => {
    request.url = request.url === `/mcp/${KEY}` ? '/mcp' : '/not-here';
  });
  this.once('listening', () => {
    const { address, port } = this.address();
    console.log(JSON.stringify({ event: 'listening', address: `${address}:${port}` }));
  });
  return listen.call(this, 0, '127.0.0.1');
};

// The parent holds the other end: a test that dies leaves no server behind.
process.stdin.on('end', () => process.exit(0)).resume();

await import('./node_modules/@modelcontextprotocol/server-everything/dist/transports/streamableHttp.js');
