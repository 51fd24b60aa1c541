// The official clients of TypeScript, each connected by what its own users would write.
import * as v2 from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const BRIDGE = new URL('node_modules/mcp-remote/dist/proxy.js', import.meta.url).pathname;
const IDENTITY = { name: 'portcullis-test', version: '1.0.0' };

/**
 * A client of this kind, connected to the place; with `callTool(parameters, options)` in each. With
 * a session it says that it has been there before.
 */
export async function connect(kind, { url, bearer }, sessionId = undefined) {
  const headers = bearer ? { Authorization: `Bearer ${bearer}` } : {};
  const options = { requestInit: { headers }, sessionId };
  switch (kind) {
    case 'v1-sse':
      return connectV1(new SSEClientTransport(new URL(url), options));
    case 'v1-streamable':
      return connectV1(new StreamableHTTPClientTransport(new URL(url), options));
    case 'v2-sse':
      return connectV2(new v2.SSEClientTransport(new URL(url), options));
    case 'v2-streamable':
      return connectV2(new v2.StreamableHTTPClientTransport(new URL(url), options));
    case 'mcp-remote':
      return connectBridge(url, bearer);
    default:
      throw new Error(`no such kind of client: ${kind}`);
  }
}

async function connectV1(transport) {
  const client = new Client(IDENTITY);
  await client.connect(transport);
  const callTool = client.callTool.bind(client);
  client.callTool = (parameters, options) => callTool(parameters, undefined, options);
  return client;
}

/** Asks for the newest version of the protocol first, as the legacy transport has no way to. */
async function connectV2(transport) {
  const mode = transport instanceof v2.SSEClientTransport ? 'legacy' : 'auto';
  const client = new v2.Client(IDENTITY, { versionNegotiation: { mode } });
  await client.connect(transport);
  return client;
}

/** What Claude Desktop starts; where it fails, its user finds the reason in what it wrote. */
async function connectBridge(url, bearer) {
  const header = bearer ? ['--header', `Authorization: Bearer ${bearer}`] : [];
  const args = [BRIDGE, url, ...header];
  const transport = new StdioClientTransport({
    command: process.execPath,
    args,
    env: process.env,
    stderr: 'pipe',
  });
  let written = '';
  transport.stderr.on('data', (chunk) => {
    written += chunk;
  });
  try {
    return await connectV1(transport);
  } catch (error) {
    throw new Error(written.match(/error.*/i)?.[0] ?? error.message);
  }
}
