// A server in the manner of Postiz v2.8.0: streamable HTTP with sessions in memory, replies as SSE.
//
// Kept: `/mcp/KEY` by prefix, any method; a wrong key is 400 in plain text; a session that is
// unknown or missing is 400 (not 404); sessions are shared by all keys and freed by DELETE alone.
//
// KEY: the key it knows.
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { newServer, serve } from './tools.mjs';

const { KEY } = process.env;
const sessions = new Map();

function refuse(response, status, type, body) {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
}

async function newSession() {
  const transport = new StreamableHTTPServerTransport({
    sessionIdGenerator: randomUUID,
    onsessioninitialized: (id) => sessions.set(id, transport),
    onsessionclosed: (id) => sessions.delete(id),
  });
  await newServer().connect(transport);
  return transport;
}

async function handle(request, response) {
  const [, mcp, key] = request.url.split('?')[0].split('/');
  if (mcp !== 'mcp') {
    return refuse(response, 404, 'text/html', 'Cannot find it');
  }
  if (key !== KEY) {
    return refuse(response, 400, 'text/plain', 'Invalid API Key');
  }
  const id = request.headers['mcp-session-id'];
  const known = sessions.get(id);
  if (known) {
    return known.handleRequest(request, response);
  }
  if (request.method === 'POST' && !id) {
    return (await newSession()).handleRequest(request, response);
  }
  const message = `${request.method} request requires a valid session ID`;
  const error = { jsonrpc: '2.0', error: { code: -32000, message }, id: null };
  return refuse(response, 400, 'application/json', JSON.stringify(error));
}

serve(
  createServer((request, response) => {
    response.setHeader('x-powered-by', 'Express');
    handle(request, response);
  }),
);
