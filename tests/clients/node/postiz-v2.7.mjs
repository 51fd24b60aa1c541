// A server in the manner of Postiz v2.7.0: the legacy SSE transport, written by hand.
//
// Kept: the endpoint event is absolute and holds the key, events begin with an empty line and carry
// a running id, a POST is answered 201 `{}` at once, replies go to every stream of the key, a wrong
// key is 400, a POST to /sse is 404, and the first stream that closes silences all others of its key.
//
// KEY: the key it knows. PUBLIC_URL: what NEXT_PUBLIC_BACKEND_URL is for Postiz.
import { EventEmitter } from 'node:events';
import { createServer } from 'node:http';
import { newServer, serve } from './tools.mjs';

const { KEY, PUBLIC_URL } = process.env;
const bus = new EventEmitter();

// One MCP server for the organization. What it says goes to the bus, never to the POST that asked.
const transport = {
  start: async () => {},
  close: async () => {},
  send: async (message) => bus.emit('reply', message),
};
await newServer().connect(transport);

function invalidUrl(response) {
  json(response, 400, { statusCode: 400, message: 'Invalid url' });
}

function json(response, status, body) {
  response.writeHead(status, { 'content-type': 'application/json; charset=utf-8' });
  response.end(JSON.stringify(body));
}

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
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  try {
    transport.onmessage(JSON.parse(Buffer.concat(chunks).toString()));
    json(response, 201, {});
  } catch {
    json(response, 500, { statusCode: 500, message: 'Internal server error' });
  }
}

serve(
  createServer((request, response) => {
    response.setHeader('x-powered-by', 'Express');
    const [, mcp, key, leaf, ...rest] = request.url.split('?')[0].split('/');
    const route = `${request.method} ${leaf}`;
    if (mcp !== 'mcp' || rest.length || !['GET sse', 'POST messages'].includes(route)) {
      json(response, 404, { statusCode: 404, message: `Cannot ${request.method} ${request.url}` });
    } else if (key !== KEY) {
      invalidUrl(response);
    } else if (leaf === 'sse') {
      openStream(request, response);
    } else {
      takeMessage(request, response);
    }
  }),
);
