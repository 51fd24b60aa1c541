// What every stand-in for Postiz does below MCP: it listens, refuses, and tells the test what came.
import { createServer } from 'node:http';

const { PORT = '0' } = process.env;

/** One line for the test that started this server. */
export function tell(event, detail) {
  console.log(JSON.stringify({ event, ...detail }));
}

export function refuse(response, status, type, body) {
  response.writeHead(status, { 'content-type': type });
  response.end(body);
}

export function json(response, status, body) {
  refuse(response, status, 'application/json; charset=utf-8', JSON.stringify(body));
}

/** What Mastra answers to whatever it can't read. */
export function broken(response) {
  const error = { code: -32603, message: 'Internal server error' };
  json(response, 500, { jsonrpc: '2.0', error, id: null });
}

/** The body of a POST; undefined for any other method. */
export async function body(request) {
  if (request.method !== 'POST') return undefined;
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return JSON.parse(Buffer.concat(chunks).toString());
}

/** Any page may call; any OPTIONS is answered before the key is looked at: true if this was one. */
export function crossOrigin(request, response) {
  for (const what of ['Origin', 'Methods', 'Headers']) {
    response.setHeader(`Access-Control-Allow-${what}`, '*');
  }
  response.setHeader('Access-Control-Expose-Headers', '*');
  if (request.method === 'OPTIONS') refuse(response, 200, 'text/plain', '');
  return request.method === 'OPTIONS';
}

/** Whatever the client accepts, it gets what the server has. */
export function acceptEverything(request) {
  const accept = 'application/json, text/event-stream';
  request.headers.accept = accept;
  request.rawHeaders.push('Accept', accept);
}

/**
 * Listens on PORT, or where that is 0 on a port of the system's choice, tells the address on standard
 * output, and ends with its parent.
 */
export function serve(handle) {
  const http = createServer((request, response) => {
    response.setHeader('x-powered-by', 'Express');
    overhear(request, response);
    handle(request, response);
  });
  http.listen(Number(PORT), '127.0.0.1', () => {
    const { address, port } = http.address();
    tell('listening', { address: `${address}:${port}` });
  });
  // The parent holds the other end: a test that dies leaves no server behind.
  process.stdin.on('end', () => process.exit(0)).resume();
}

/** Tells of calls and of what cancels one, and of clients that left before an answer had ended. */
function overhear(request, response) {
  const chunks = [];
  let message;
  // Where the parser hands a body over, so that who reads it in the end is not disturbed.
  const push = request.push;
  request.push = function (chunk, encoding) {
    if (chunk) chunks.push(chunk);
    else message = hear(Buffer.concat(chunks).toString());
    return push.call(this, chunk, encoding);
  };
  response.on('close', () => {
    if (response.writableFinished) return;
    if (message?.method === 'tools/call') tell('left', { what: message.params.name });
    if (request.method === 'GET') tell('left', { what: 'stream' });
  });
}

function hear(text) {
  let message;
  try {
    message = JSON.parse(text);
  } catch {
    return undefined;
  }
  for (const { method, params, id } of [message].flat()) {
    if (method === 'tools/call') tell('called', { tool: params.name, id });
    if (method === 'notifications/cancelled') tell('cancelled', { id: params.requestId });
  }
  return message;
}
