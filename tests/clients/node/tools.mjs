// The MCP server that the plain stand-ins for Postiz share, without a transport.
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { perform } from './performance.mjs';

/** A server with these tools that isn't connected yet. */
export function newServer(names) {
  const server = new Server({ name: 'Postiz', version: '2.0.0' }, { capabilities: { tools: {} } });
  const tools = Object.values(names).map((name) => ({
    name,
    description: 'A tool in the manner of Postiz',
    inputSchema: { type: 'object', properties: { platform: { type: 'string' } } },
  }));
  server.setRequestHandler(ListToolsRequestSchema, () => ({ tools }));
  server.setRequestHandler(CallToolRequestSchema, async ({ params }, extra) => {
    await perform(names, params.name, extra);
    return { content: [{ type: 'text', text: `${params.name} of ${params.arguments?.platform}` }] };
  });
  return server;
}
