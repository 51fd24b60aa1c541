// A server in the manner of Postiz v2.8.0 to v2.22.1: streamable HTTP with sessions in the memory of
// one process. Where the versions differ it is v2.19.0 to v2.21.4: keys in the path and as a Bearer,
// replies as SSE.
//
// Kept: any method and any path below `/mcp/KEY`; a session that is unknown or missing is 400, not 404;
// sessions are shared by all keys, and freed by DELETE alone; JSON that can't be read is 500; a body
// of any size; any page may call.
//
// KEY: the key it knows.
import { randomUUID } from 'node:crypto';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { isInitializeRequest } from '@modelcontextprotocol/sdk/types.js';
import { admits } from './keys.mjs';
import { AGENT_TOOLS } from './performance.mjs';
import { body, broken, crossOrigin, json, serve } from './serving.mjs';
import { newServer } from './tools.mjs';

const sessions = new Map();

async function newSession() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await newServer(AGENT_TOOLS).connect(transport);
  return transport;
}

function noSession(request, response, id = null) {
  const message =
    request.method === 'POST'
      ? 'Bad Request: No valid session ID provided for non-initialize request'
      : `Bad Request: ${request.method} request requires a valid session ID`;
  json(response, 400, { jsonrpc: '2.0', error: { code: -32000, message }, id });
}

async function handle(request, response) {
  if (crossOrigin(request, response) || !admits(request, response)) return;
  try {
    const message = await body(request);
    const known = sessions.get(request.headers['mcp-session-id']);
    if (known) {
      await known.handleRequest(request, response, message);
    } else if (isInitializeRequest(message)) {
      await (await newSession()).handleRequest(request, response, message);
    } else {
      noSession(request, response, message?.id);
    }
  } catch {
    broken(response);
  }
}

serve(handle);
