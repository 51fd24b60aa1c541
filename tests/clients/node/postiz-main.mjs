// A server in the manner of Postiz v2.23.0 and later: streamable HTTP without sessions, replies as JSON.
//
// Kept: any path below `/mcp/KEY`; no session id, and a stale one is ignored; a new MCP server for each
// request, so that a note that cancels a call finds nothing to cancel; no room for progress; batches; a
// GET opens a stream that stays silent and never ends; JSON that can't be read is 500; any page may
// call; OAuth metadata for /mcp-oauth alone.
//
// KEY: the key it knows.
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { admits } from './keys.mjs';
import { AGENT_TOOLS } from './performance.mjs';
import { acceptEverything, body, broken, crossOrigin, json, serve } from './serving.mjs';
import { newServer } from './tools.mjs';

const METADATA = '/.well-known/oauth-authorization-server/mcp-oauth';

async function handle(request, response) {
  if (request.url === METADATA) return json(response, 200, { issuer: 'https://postiz.example.com' });
  if (crossOrigin(request, response) || !admits(request, response)) return;
  try {
    acceptEverything(request);
    const message = await body(request);
    const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
    await newServer(AGENT_TOOLS).connect(transport);
    await transport.handleRequest(request, response, message);
  } catch {
    broken(response);
  }
}

serve(handle);
