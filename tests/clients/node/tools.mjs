// The MCP server that all three stand-ins for Postiz share: its tools, without a transport.
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';

const TOOLS = [
  {
    name: 'integrationList',
    description: 'Lists the channels of the organization',
    inputSchema: { type: 'object', properties: {} },
  },
  {
    name: 'integrationSchema',
    description: 'The settings of a platform',
    inputSchema: { type: 'object', properties: { platform: { type: 'string' } } },
  },
];

/** A server that isn't connected yet. */
export function newServer() {
  const server = new Server({ name: 'Postiz', version: '2.0.0' }, { capabilities: { tools: {} } });
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools: TOOLS }));
  server.setRequestHandler(CallToolRequestSchema, ({ params }) => ({
    content: [{ type: 'text', text: `${params.name} of ${params.arguments?.platform ?? 'all'}` }],
  }));
  return server;
}

/** Listens on a port of the system's choice, tells it on standard output, and ends with its parent. */
export function serve(http) {
  http.listen(0, '127.0.0.1', () => {
    const { address, port } = http.address();
    console.log(JSON.stringify({ event: 'listening', address: `${address}:${port}` }));
  });
  // The parent holds the other end: a test that dies leaves no server behind.
  process.stdin.on('end', () => process.exit(0)).resume();
}
