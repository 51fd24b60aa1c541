// The MCP server that the plain stand-ins for Postiz share, without a transport.
import { Server } from '@modelcontextprotocol/sdk/server/index.js';
import { CallToolRequestSchema, ListToolsRequestSchema } from '@modelcontextprotocol/sdk/types.js';
import { perform } from './performance.mjs';

const OWN = { Server, ListToolsRequestSchema, CallToolRequestSchema };

/** A server with these tools that isn't connected yet; `sdk` is of another version of the SDK. */
export function newServer(names, sdk = OWN) {
  const server = new sdk.Server({ name: 'Postiz', version: '2.0.0' }, { capabilities: { tools: {} } });
  const tools = Object.values(names).map((name) => ({
    name,
    description: 'A tool in the manner of Postiz',
    inputSchema: { type: 'object', properties: { platform: { type: 'string' } } },
  }));
  server.setRequestHandler(sdk.ListToolsRequestSchema, () => ({ tools }));
  server.setRequestHandler(sdk.CallToolRequestSchema, async ({ params }, extra) => {
    await perform(names, params.name, extra);
    return { content: [{ type: 'text', text: `${params.name} of ${params.arguments?.platform}` }] };
  });
  return server;
}
