// An official client, driven through one story; each line on standard output is what it saw.
//
//   node client.mjs sse|streamable|mcp-remote URL
//
// BEARER: sent as `Authorization: Bearer`, where it is set. CALLS: give up on being refused after so
// many calls; 0 leaves that part out (a server without a limit).
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

const [kind, url] = process.argv.slice(2);
const { BEARER, CALLS = '0' } = process.env;
const headers = BEARER ? { Authorization: `Bearer ${BEARER}` } : {};
const RECOVERY_MS = 10_000;

function saw(what, detail) {
  console.log(JSON.stringify({ saw: what, detail }));
}

function transport() {
  switch (kind) {
    case 'sse':
      return new SSEClientTransport(new URL(url), { requestInit: { headers } });
    case 'streamable':
      return new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } });
    case 'mcp-remote':
      return new StdioClientTransport({
        command: process.execPath,
        args: [new URL('node_modules/mcp-remote/dist/proxy.js', import.meta.url).pathname, url],
        env: process.env,
      });
    default:
      throw new Error(`no such kind of client: ${kind}`);
  }
}

async function call(client) {
  const result = await client.callTool(
    { name: 'integrationSchema', arguments: { platform: 'x' } },
    undefined,
    { timeout: 5_000 },
  );
  return result.content[0].text;
}

/** Calls without a pause until one fails: the error, or undefined if none of `limit` failed. */
async function firstRefusal(client, limit) {
  for (let calls = 0; calls < limit; calls += 1) {
    try {
      await call(client);
    } catch (error) {
      return error.message;
    }
  }
  return undefined;
}

/** Calls again on the same client until one passes. */
async function recovered(client) {
  const end = Date.now() + RECOVERY_MS;
  for (;;) {
    try {
      return await call(client);
    } catch (error) {
      if (Date.now() > end) throw error;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

process.stdin.on('end', () => process.exit(0)).resume();
try {
  const client = new Client({ name: 'portcullis-test', version: '1.0.0' });
  await client.connect(transport());
  saw('connected', client.getServerVersion().name);
  saw('tools', (await client.listTools()).tools.map(({ name }) => name));
  saw('result', await call(client));
  if (Number(CALLS) > 0) {
    saw('refused', await firstRefusal(client, Number(CALLS)));
    saw('alive', await recovered(client));
  }
  await client.close();
  saw('closed');
  process.exit(0);
} catch (error) {
  saw('failed', `${error} ${error.cause ?? ''}`);
  process.exit(1);
}
