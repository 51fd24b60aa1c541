// A server in the manner of Postiz v2.7.0: the legacy SSE transport, written by hand.
//
// Kept: two routes and nothing else (a POST to /sse is 404); a wrong key is 400 `Invalid url` on both;
// the endpoint event is absolute and holds the key; events begin with an empty line and carry a
// running id that resumes nothing; a POST is answered 201 `{}` at once, or 500 where it can't be read;
// one bus per key: a reply goes to every stream, and the first that closes silences all others; no
// heartbeat.
//
// KEY: the key it knows. PUBLIC_URL: what NEXT_PUBLIC_BACKEND_URL is for Postiz.
import { EventEmitter } from 'node:events';
import { FIRST_TOOLS } from './performance.mjs';
import { body, json, serve } from './serving.mjs';
import { newServer } from './tools.mjs';

const { KEY, PUBLIC_URL } = process.env;
const bus = new EventEmitter();

// One MCP server for the organization. What it says goes to the bus, never to the POST that asked.
const transport = {
  start: async () => {},
  close: async () => {},
  send: async (message) => bus.emit('reply', message),
};
await newServer(FIRST_TOOLS).connect(transport);

function openStream(request, response) {
  response.writeHead(200, {
    'content-type': 'text/event-stream',
    'cache-control': 'private, no-cache, no-store, must-revalidate, max-age=0, no-transform',
    'x-accel-buffering': 'no',
    connection: 'keep-alive',
  });
  let id = 0;
  const send = (event, data) => response.write(`event: ${event}\nid: ${++id}\ndata: ${data}\n\n`);
  const base = PUBLIC_URL ?? `http://${request.headers.host}`;
  response.write('\n');
  send('endpoint', `${base}/mcp/${KEY}/messages`);
  bus.on('reply', (message) => send('message', JSON.stringify(message)));
  response.on('close', () => bus.removeAllListeners('reply'));
}

async function takeMessage(request, response) {
  try {
    transport.onmessage(await body(request));
    json(response, 201, {});
  } catch {
    json(response, 500, { statusCode: 500, message: 'Internal server error' });
  }
}

serve((request, response) => {
  const [, mcp, key, leaf, ...rest] = request.url.split('?')[0].split('/');
  const route = `${request.method} ${leaf}`;
  if (mcp !== 'mcp' || rest.length || !['GET sse', 'POST messages'].includes(route)) {
    json(response, 404, { statusCode: 404, message: `Cannot ${request.method} ${request.url}` });
  } else if (key !== KEY) {
    json(response, 400, { statusCode: 400, message: 'Invalid url' });
  } else if (leaf === 'sse') {
    openStream(request, response);
  } else {
    takeMessage(request, response);
  }
});
