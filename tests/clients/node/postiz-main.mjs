// A server in the manner of Postiz main: streamable HTTP without sessions, replies as JSON.
//
// Kept: `/mcp/KEY` by prefix (a wrong key is 400 in plain text) and `/mcp` with `Bearer KEY` (a
// wrong one is 401 without WWW-Authenticate); the scheme is only taken off when it is spelled
// exactly `Bearer `; a GET opens a stream that stays silent and never ends.
//
// KEY: the key it knows.
import { createServer } from 'node:http';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { newServer, serve } from './tools.mjs';

const { KEY } = process.env;

function refuse(response, status, text) {
  response.writeHead(status, { 'content-type': 'text/plain' });
  response.end(text);
}

async function handle(request, response) {
  const [, mcp, key] = request.url.split('?')[0].split('/');
  if (mcp !== 'mcp') {
    return refuse(response, 404, 'Cannot find it');
  }
  const presented = key ?? request.headers.authorization?.replace('Bearer ', '');
  if (presented !== KEY) {
    return key === undefined
      ? refuse(response, 401, presented ? 'Invalid API Key' : 'Missing Authorization header')
      : refuse(response, 400, 'Invalid API Key');
  }
  const transport = new StreamableHTTPServerTransport({ enableJsonResponse: true });
  await newServer().connect(transport);
  return transport.handleRequest(request, response);
}

serve(
  createServer((request, response) => {
    response.setHeader('x-powered-by', 'Express');
    handle(request, response);
  }),
);
